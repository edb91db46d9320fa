import { timingSafeEqual } from 'node:crypto';
import { chmodSync, statSync } from 'node:fs';
import { digestOfKey, type KeyEntry, keysFile, MAIN_KEY, type Right, readKeys } from './keys.js';

const LOOK_MILLISECONDS = 500;

/** A valid key of this node. */
export interface Key {
  /** For the log and metrics. */
  name: string;
  /** Distinguishes keys of one name. */
  id: string;
  /** Whether the key permits this. */
  may(right: Right): boolean;
  /** The groups whose files it is for; undefined for all. */
  groups: readonly string[] | undefined;
  /** Largest file in bytes; undefined for the node's limit. */
  maxFileSize: number | undefined;
}

/** A key with which upload tokens are signed. */
export interface SigningKey {
  key: Key;
  secret: string;
}

interface NamedKey extends Key {
  /** Milliseconds since 1970. */
  expires: number;
  secret: string | undefined;
}

/** Called when the file of named keys becomes unusable, with a human-readable reason, and with undefined when it is usable again. */
export type OnTrouble = (reason: string | undefined) => void;

/**
 * The key of the settings and the named keys. Looks at the file twice a second, and uses a changed one from then on. While the
 * file is not valid, the keys that it had before stay in use.
 */
export class KeyRing {
  private readonly main: Buffer;
  private readonly mainKey: Key = {
    name: MAIN_KEY,
    id: MAIN_KEY,
    may: () => true,
    groups: undefined,
    maxFileSize: undefined,
  };
  private digestOfAll = '';
  private byDigest = new Map<string, NamedKey>();
  /** Identifies the state of the file that was read last. */
  private seen = '';
  /** The state of a file that was found invalid once. */
  private suspected: string | undefined;
  private isInTrouble = false;
  private readonly timer: NodeJS.Timeout;

  /**
   * Throws a SettingsError if the file is not valid.
   * @param main the key of the settings
   * @param data the data directory
   */
  constructor(
    private readonly mainText: string,
    private readonly data: string,
    private readonly onTrouble: OnTrouble,
  ) {
    this.main = Buffer.from(mainText);
    this.seen = this.stateOfFile();
    this.use(readKeys(data));
    this.timer = setInterval(() => this.look(), LOOK_MILLISECONDS).unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** The key that a client sends; undefined if there is no such key, or not any more. */
  find(given: string): Key | undefined {
    const bytes = Buffer.from(given);
    // In constant time; a wrong length returns early, and the length of the key is not secret.
    if (bytes.length === this.main.length && timingSafeEqual(bytes, this.main)) return this.mainKey;
    if (this.byDigest.size === 0) return undefined;
    // The duration of the lookup depends on the digest of what was sent, from which no key can be computed.
    const key = this.byDigest.get(digestOfKey(given));
    return key && key.expires > Date.now() ? key : undefined;
  }

  /** The valid keys of a name that sign upload tokens: two while a key is changed. */
  signing(name: string): SigningKey[] {
    if (name === MAIN_KEY) return [{ key: this.mainKey, secret: this.mainText }];
    const now = Date.now();
    return [...this.byDigest.values()].flatMap((key) =>
      key.name === name && key.secret !== undefined && key.expires > now ? [{ key, secret: key.secret }] : [],
    );
  }

  /** A digest of all keys, which are to be equal on all nodes. */
  get digest(): string {
    return this.digestOfAll;
  }

  private look(): void {
    let state = '';
    try {
      state = this.stateOfFile();
      if (state !== this.seen) this.use(readKeys(this.data));
      this.seen = state;
      this.report(undefined);
    } catch (error) {
      // A file that is being written in place is invalid for a moment; one that stays so is reported.
      if (this.suspected === state) this.report((error as Error).message);
      this.suspected = state;
    }
  }

  private report(reason: string | undefined): void {
    if (reason === undefined && !this.isInTrouble) return;
    this.isInTrouble = reason !== undefined;
    this.onTrouble(reason);
  }

  /** The state of the file as a text, empty if there is none. Makes a file private that others can read, such as a copied one. */
  private stateOfFile(): string {
    const file = keysFile(this.data);
    const found = statSync(file, { throwIfNoEntry: false });
    if (!found) return '';
    if ((found.mode & 0o077) !== 0) makePrivate(file);
    return `${found.ino} ${found.size} ${found.mtimeMs}`;
  }

  private use(entries: readonly KeyEntry[]): void {
    const sorted = entries.toSorted((one, other) => (one.id < other.id ? -1 : 1));
    this.digestOfAll = digestOfKey(JSON.stringify([this.mainText, sorted]));
    this.byDigest = new Map(entries.map((entry) => [entry.sha256, namedKey(entry)]));
  }
}

function makePrivate(file: string): void {
  try {
    chmodSync(file, 0o600);
  } catch {
    // The file of another user; the data directory is closed to others.
  }
}

function namedKey({ id, name, rights, groups, maxFileSize, expires, secret }: KeyEntry): NamedKey {
  const all = new Set(rights);
  return {
    name,
    id,
    may: (right) => all.has(right) || all.has('admin'),
    groups,
    maxFileSize,
    expires: expires === undefined ? Number.POSITIVE_INFINITY : Date.parse(expires),
    secret: all.has('sign') ? secret : undefined,
  };
}
