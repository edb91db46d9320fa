import { isIP } from 'node:net';

/** After this many wrong keys within the window an address waits until the first of them is older than the window. */
const MOST_WRONG = 20;
const WINDOW_MILLISECONDS = 60_000;
/** For this long after a success a key goes on working from its address whatever other clients there send. */
const TRUST_MILLISECONDS = 3_600_000;
/** A success is recorded again only after this time, so that it costs an upload next to nothing. */
const RENEWAL_MILLISECONDS = 60_000;
/** Addresses of each kind in memory; beyond it those that were not used for the longest time are dropped. */
const MOST_ADDRESSES = 10_000;
/** Keys per address. */
const MOST_KEYS = 32;

/**
 * Counts wrong keys by the address of the client, and says how long an address has to wait. Addresses of one IPv6 network (/64)
 * count as one, because one client has all of them.
 */
export class WrongKeys {
  /** The times of the last wrong keys of each address, at most MOST_WRONG, the oldest first. */
  private readonly wrong = new Map<string, number[]>();
  /** The keys that succeeded, by address, with the time. Kept apart, so that wrong keys of many addresses do not push them out. */
  private readonly right = new Map<string, Map<string, number>>();

  /** @param clock milliseconds of any beginning */
  constructor(private readonly clock: () => number = () => performance.now()) {}

  /** For how many more milliseconds an address has to wait; 0 if it need not. */
  wait(address: string): number {
    if (this.wrong.size === 0) return 0;
    const times = this.wrong.get(networkOf(address));
    const [oldest = 0] = times ?? [];
    return times?.length === MOST_WRONG ? Math.max(0, oldest + WINDOW_MILLISECONDS - this.clock()) : 0;
  }

  /** Counts a wrong key. */
  failed(address: string): void {
    const network = networkOf(address);
    const times = this.wrong.get(network) ?? [];
    times.push(this.clock());
    renew(this.wrong, network, times.slice(-MOST_WRONG));
  }

  /** Records that a key was right. `key` distinguishes keys; it is not the secret. */
  succeeded(address: string, key: string): void {
    const network = networkOf(address);
    const keys = this.right.get(network) ?? new Map<string, number>();
    const now = this.clock();
    if ((keys.get(key) ?? Number.NEGATIVE_INFINITY) > now - RENEWAL_MILLISECONDS) return;
    keys.delete(key);
    keys.set(key, now);
    dropOldest(keys, MOST_KEYS);
    renew(this.right, network, keys);
  }

  /** Whether a key that is right has succeeded from this address within the last hour. */
  isTrusted(address: string, key: string): boolean {
    const at = this.right.get(networkOf(address))?.get(key);
    return at !== undefined && at > this.clock() - TRUST_MILLISECONDS;
  }
}

/** Sets an entry as the most recently used one. */
function renew<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  dropOldest(map, MOST_ADDRESSES);
}

function dropOldest(map: Map<string, unknown>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}

/** An IPv4 address as it is, also one that is written as IPv6; of another IPv6 address its first 64 bits. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (isIP(address) !== 6) return address;
  const [head = '', tail] = address.toLowerCase().split('::', 2);
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const first = groups(head);
  // An IPv4 address at the end stands for two groups.
  const last = groups(tail ?? '').flatMap((group) => (group.includes('.') ? [group, group] : [group]));
  const zeros = tail === undefined ? 0 : 8 - first.length - last.length;
  const all = [...first, ...new Array<string>(Math.max(0, zeros)).fill('0'), ...last];
  return all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':');
}
