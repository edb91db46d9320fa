import { setTimeout as sleep } from 'node:timers/promises';
import type { PeerSettings, Settings } from '../config/settings.js';
import { checkPeer, parseHello, WrongPeer } from './hello.js';
import type { Membership, MembershipListener } from './membership.js';
import { Peer, type PeerState, resolved } from './peer.js';
import { PeerClient, PeerError } from './peer-client.js';

const INTERVAL_MILLISECONDS = 1000;
/** Timeout of a hello request. */
const PATIENCE_MILLISECONDS = 3000;

/** The nodes that the setting `peers` names, each asked every second (`/hello`). */
export class SettingsMembership implements Membership {
  readonly peers: Peer[];
  private readonly ending = new AbortController();
  /** The loops that ask the peers, and what ends each. */
  private readonly loops = new Map<Peer, { ending: AbortController; done: Promise<void> }>();
  /** Clients of peers that have gone or moved, with requests under way. */
  private readonly retired = new Set<PeerClient>();
  private isStarted = false;

  /** @param settings the settings of this node, which change in place */
  constructor(
    private readonly settings: Settings,
    private readonly listener: MembershipListener,
  ) {
    this.peers = settings.peers.map((peer) => new Peer(peer, this.clientOf(peer)));
  }

  async lookAtAll(milliseconds: number): Promise<void> {
    const ended = new AbortController();
    const patience = sleep(milliseconds, undefined, { signal: ended.signal }).catch(() => {});
    await Promise.race([Promise.all(this.peers.map((peer) => this.look(peer))), patience]);
    ended.abort();
  }

  start(): void {
    this.isStarted = true;
    for (const peer of this.peers) this.watch(peer);
  }

  async stop(): Promise<void> {
    this.ending.abort();
    const loops = [...this.loops.values()];
    for (const { ending } of loops) ending.abort();
    const clients = [...this.peers.map(({ client }) => client), ...this.retired];
    await Promise.all(clients.map((client) => client.close()));
    await Promise.all(loops.map(({ done }) => done));
  }

  /** Takes up the setting `peers` after it has changed, and tells the listener the differences. */
  reload(): void {
    const wanted = new Map(this.settings.peers.map((peer) => [peer.id, peer]));
    for (const peer of [...this.peers]) {
      // A node in another group holds other files: it is another member.
      if (wanted.get(peer.id)?.group !== peer.settings.group) this.remove(peer);
    }
    for (const settings of wanted.values()) {
      const peer = this.peers.find(({ id }) => id === settings.id);
      if (!peer) this.add(settings);
      else if (peer.settings.url !== settings.url) this.move(peer, settings);
    }
  }

  private add(settings: PeerSettings): void {
    const peer = new Peer(settings, this.clientOf(settings));
    this.peers.push(peer);
    this.listener.added(peer);
    if (this.isStarted) this.watch(peer);
  }

  private move(peer: Peer, settings: PeerSettings): void {
    const { client } = peer;
    peer.moveTo(settings, this.clientOf(settings));
    this.listener.moved(peer);
    this.retire(client);
    if (!this.isStarted) return;
    this.loops.get(peer)?.ending.abort();
    this.watch(peer);
  }

  private remove(peer: Peer): void {
    this.peers.splice(this.peers.indexOf(peer), 1);
    this.loops.get(peer)?.ending.abort();
    this.loops.delete(peer);
    this.listener.removed(peer);
    this.retire(peer.client);
  }

  /** Closes a client when its requests under way have ended; uploads may be among them. */
  private retire(client: PeerClient): void {
    this.retired.add(client);
    void client
      .end()
      .catch(() => {}) // aborted by `stop`
      .finally(() => this.retired.delete(client));
  }

  private clientOf(peer: PeerSettings): PeerClient {
    const { serverId, peerSecret = '' } = this.settings;
    return new PeerClient(peer, serverId, peerSecret);
  }

  private watch(peer: Peer): void {
    const ending = new AbortController();
    const done = this.keepLooking(peer, ending.signal);
    this.loops.set(peer, { ending, done });
  }

  private async keepLooking(peer: Peer, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look(peer);
      await sleep(INTERVAL_MILLISECONDS, undefined, { signal }).catch(() => {});
    }
  }

  private async look(peer: Peer): Promise<void> {
    const { client, settings } = peer;
    // An answer from an address that the peer had before says nothing about it now, nor does one of a node that has gone.
    const isOld = () => peer.client !== client || !this.peers.includes(peer);
    try {
      const origin = peer.origin === undefined || !peer.isUp ? await resolved(settings.url) : peer.origin;
      const hello = parseHello(await client.askJson('/hello', { timeout: PATIENCE_MILLISECONDS, limit: 2 ** 20 }));
      checkPeer(hello, settings, this.settings);
      if (isOld()) return;
      peer.origin = origin;
      peer.reachable = true;
      peer.hello = hello;
      this.become(peer, 'up', '');
    } catch (error) {
      if (isOld()) return;
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
    }
    this.listener.looked(peer, before);
  }
}
