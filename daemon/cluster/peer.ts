import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { PeerSettings } from '../config/settings.js';
import type { Hello } from './hello.js';
import type { PeerClient } from './peer-client.js';

/** State of a peer. `wrong`: it answers, but its settings do not match this node's, or it rejects this node's requests. */
export type PeerState = 'unknown' | 'up' | 'down' | 'wrong';

const NOT_HEARD = 'not heard of yet';

/** Another node of the cluster and its state. Its server id and its group never change, its address may. */
export class Peer {
  state: PeerState = 'unknown';
  /** Its last hello: its version, its store paths and more. */
  hello: Hello | undefined;
  /** Human-readable reason why it is not up; empty if it is. */
  reason = NOT_HEARD;
  /** When the state last changed, in milliseconds since 1970. */
  since = Date.now();
  /** Whether its nginx answers, which serves files even if the daemon is down. */
  reachable = true;
  /** Scheme, address and port, once the name has been resolved. */
  origin: string | undefined;

  constructor(
    public settings: PeerSettings,
    public client: PeerClient,
  ) {
    this.origin = originOf(settings.url);
  }

  /** Its server id. */
  get id(): number {
    return this.settings.id;
  }

  get isUp(): boolean {
    return this.state === 'up';
  }

  /** Takes another address. The state is unknown until the node has been asked there. */
  moveTo(settings: PeerSettings, client: PeerClient): void {
    this.settings = settings;
    this.client = client;
    this.origin = originOf(settings.url);
    this.state = 'unknown';
    this.reason = NOT_HEARD;
    this.since = Date.now();
    this.reachable = true;
  }
}

function bareHost(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '');
}

/** Scheme, address and port of a URL, with the address instead of the name. */
function originAt(url: string, address: string): string {
  const { protocol, port } = new URL(url);
  const host = address.includes(':') ? `[${address}]` : address;
  return `${protocol}//${host}:${port || (protocol === 'https:' ? 443 : 80)}`;
}

/** Scheme, address and port of a URL; undefined if its host is a name. */
function originOf(url: string): string | undefined {
  const host = bareHost(new URL(url).hostname);
  return isIP(host) === 0 ? undefined : originAt(url, host);
}

/** Resolves the host of a URL; resolves with scheme, address and port. Rejects with the error of the resolver. */
export async function resolved(url: string): Promise<string> {
  return originOf(url) ?? originAt(url, (await lookup(bareHost(new URL(url).hostname))).address);
}
