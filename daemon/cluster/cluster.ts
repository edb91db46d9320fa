import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PeerSettings, Settings } from '../config/settings.js';
import { ClusterFile } from './cluster-file.js';
import { checkPeer, type Hello, parseHello, WrongPeer } from './hello.js';
import { PeerClient, PeerError } from './peer-client.js';

const INTERVAL_MILLISECONDS = 1000;
/** Timeout of a hello request. */
const PATIENCE_MILLISECONDS = 3000;

/** State of a peer. `wrong`: it answers, but its settings do not match this node's, or it rejects this node's requests. */
export type PeerState = 'unknown' | 'up' | 'down' | 'wrong';

/** A peer and its state, which is polled every second. */
export class Peer {
  state: PeerState = 'unknown';
  /** Its last hello. */
  hello: Hello | undefined;
  /** Human-readable reason why it is not up; empty if it is. */
  reason = 'not heard of yet';
  /** When the state last changed, in milliseconds since 1970. */
  since = Date.now();
  /** Whether its nginx answers, which serves files even if the daemon is down. */
  reachable = true;
  /** Scheme, address and port, once the name has been resolved. */
  origin: string | undefined;

  constructor(
    readonly settings: PeerSettings,
    readonly client: PeerClient,
  ) {
    const { hostname } = new URL(settings.url);
    if (isIP(bareHost(hostname))) this.origin = originAt(settings.url, bareHost(hostname));
  }

  /** Its server id. */
  get id(): number {
    return this.settings.id;
  }

  get isUp(): boolean {
    return this.state === 'up';
  }
}

/** Called after the state of a peer has changed. */
export type OnChange = (peer: Peer, before: PeerState) => void;

/** The peers of this node. Polls their state, and writes it to the cluster file for njs. */
export class Cluster {
  readonly peers: readonly Peer[];
  private readonly ending = new AbortController();
  private readonly file: ClusterFile;
  private loops: Promise<void>[] = [];
  /** Whether the last write of the file failed, which was logged. */
  private fileFailed = false;

  /** @param directory directory of nginx's files, in which the cluster file is written */
  constructor(
    private readonly settings: Settings,
    directory: string,
    private readonly onChange: OnChange,
    private readonly warn: (message: string, error: unknown) => void,
  ) {
    const { peers, serverId, peerSecret = '' } = settings;
    this.peers = peers.map((peer) => new Peer(peer, new PeerClient(peer, serverId, peerSecret)));
    this.file = new ClusterFile(directory);
  }

  /** This node's own group. */
  get ownGroup(): string {
    return this.settings.group;
  }

  /** All groups, this node's own first. */
  get groups(): string[] {
    return [...new Set([this.ownGroup, ...this.peers.map(({ settings }) => settings.group)])];
  }

  /** The other nodes of this node's group. */
  get group(): Peer[] {
    return this.peers.filter(({ settings }) => settings.group === this.settings.group);
  }

  /** The peers of a group. */
  peersOf(group: string): Peer[] {
    return this.peers.filter(({ settings }) => settings.group === group);
  }

  /** The peers of a group, those that are up first. */
  upFirst(group: string): Peer[] {
    return this.peersOf(group).sort((one, other) => Number(other.isUp) - Number(one.isUp));
  }

  peer(id: number): Peer | undefined {
    return this.peers.find((peer) => peer.id === id);
  }

  /**
   * Human-readable reason why no peer of the group can be used, because of the settings; undefined if one is up, or if none
   * answers.
   */
  get unavailable(): string | undefined {
    const wrong = this.group.find(({ state }) => state === 'wrong');
    return wrong && !this.group.some(({ isUp }) => isUp) ? wrong.reason : undefined;
  }

  /** Polls every peer once. Resolves when all have answered or failed, or after `milliseconds`. */
  async lookAtAll(milliseconds: number): Promise<void> {
    this.writeFile();
    const ended = new AbortController();
    const patience = sleep(milliseconds, undefined, { signal: ended.signal }).catch(() => {});
    await Promise.race([Promise.all(this.peers.map((peer) => this.look(peer))), patience]);
    ended.abort();
  }

  /** Starts polling. */
  start(): void {
    this.writeFile();
    this.loops = this.peers.map((peer) => this.watch(peer));
  }

  async stop(): Promise<void> {
    this.ending.abort();
    await Promise.all(this.peers.map(({ client }) => client.close()));
    await Promise.all(this.loops);
  }

  private async watch(peer: Peer): Promise<void> {
    while (!this.ending.signal.aborted) {
      await this.look(peer);
      await sleep(INTERVAL_MILLISECONDS, undefined, { signal: this.ending.signal }).catch(() => {});
    }
  }

  private async look(peer: Peer): Promise<void> {
    const { client, settings } = peer;
    try {
      if (peer.origin === undefined || !peer.isUp) peer.origin = await resolved(settings.url);
      const hello = parseHello(await client.askJson('/hello', { timeout: PATIENCE_MILLISECONDS, limit: 2 ** 20 }));
      checkPeer(hello, settings, this.settings);
      peer.reachable = true;
      peer.hello = hello;
      this.become(peer, 'up', '');
    } catch (error) {
      const status = error instanceof PeerError ? error.status : undefined;
      const what = status === 404 ? 'it answers 404: has it peers in its settings?' : (error as Error).message;
      const reason =
        error instanceof PeerError && status !== 404 ? what : `node ${settings.id} (${settings.url}): ${what}`;
      const isWrong = error instanceof WrongPeer || status === 401 || status === 404;
      peer.reachable = status !== undefined && !isWrong;
      this.become(peer, isWrong ? 'wrong' : 'down', reason);
    }
  }

  private become(peer: Peer, state: PeerState, reason: string): void {
    const before = peer.state;
    peer.reason = reason;
    if (state !== before && !this.ending.signal.aborted) {
      peer.state = state;
      peer.since = Date.now();
      this.onChange(peer, before);
    }
    this.writeFile();
  }

  private writeFile(): void {
    if (this.peers.length === 0) return;
    const nodes = this.peers.flatMap(({ settings, origin, reachable, isUp }) => {
      if (origin === undefined) return [];
      const node = { group: settings.group, origin, host: new URL(settings.url).host, up: reachable, well: isUp };
      return [[String(settings.id), node] as const];
    });
    try {
      this.file.write(Object.fromEntries(nodes));
      this.fileFailed = false;
    } catch (error) {
      // For example because the disk is full. Not an error of the peer; the next poll tries again.
      if (!this.fileFailed) this.warn('nginx could not be told which nodes are up; it is tried again', error);
      this.fileFailed = true;
    }
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

async function resolved(url: string): Promise<string> {
  const host = bareHost(new URL(url).hostname);
  return originAt(url, isIP(host) ? host : (await lookup(host)).address);
}
