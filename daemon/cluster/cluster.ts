import type { Settings } from '../config/settings.js';
import { ClusterFiles } from './cluster-file.js';
import type { MembershipListener } from './membership.js';
import type { Peer, PeerState } from './peer.js';
import { SettingsMembership } from './settings-membership.js';

export type { Peer, PeerState } from './peer.js';

/** Is told of changes after they are in the cluster files. */
export interface ClusterListener extends Omit<MembershipListener, 'looked'> {
  /** The state of a peer has changed. */
  changed(peer: Peer, before: PeerState): void;
}

/** The cluster as this node sees it: its groups and their nodes. Writes the state of the peers to the cluster files for njs. */
export class Cluster {
  private readonly membership: SettingsMembership;
  private readonly files: ClusterFiles;
  private isEnding = false;
  /** Whether the last write of the file failed, which was logged. */
  private fileFailed = false;

  /**
   * @param settings the settings of this node, which change in place
   * @param directory directory of nginx's files, in which the cluster files are written
   */
  constructor(
    private readonly settings: Settings,
    directory: string,
    private readonly listener: ClusterListener,
    private readonly warn: (message: string, error: unknown) => void,
  ) {
    this.files = new ClusterFiles(directory);
    const told = (tell: (peer: Peer) => void) => (peer: Peer) => {
      this.writeAll();
      tell(peer);
    };
    this.membership = new SettingsMembership(settings, {
      added: told((peer) => listener.added(peer)),
      moved: told((peer) => listener.moved(peer)),
      removed: told((peer) => listener.removed(peer)),
      looked: (peer, before) => this.looked(peer, before),
    });
  }

  /** The other nodes, in a list that changes in place. */
  get peers(): readonly Peer[] {
    return this.membership.peers;
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

  /** Asks every peer once. Resolves when all have answered or failed, or after `milliseconds`. */
  lookAtAll(milliseconds: number): Promise<void> {
    this.writeAll();
    return this.membership.lookAtAll(milliseconds);
  }

  /** Starts to keep the states of the peers up to date. */
  start(): void {
    this.writeAll();
    this.membership.start();
  }

  stop(): Promise<void> {
    this.isEnding = true;
    return this.membership.stop();
  }

  /** Takes up the setting `peers` after it has changed. */
  reload(): void {
    this.membership.reload();
  }

  private looked(peer: Peer, before: PeerState): void {
    if (peer.state !== before && !this.isEnding) this.listener.changed(peer, before);
    this.tellNginx(() => this.writeFile(peer.settings.group));
  }

  /** Writes the files of all groups that have peers, and removes the others. */
  private writeAll(): void {
    const groups = [...new Set(this.peers.map(({ settings }) => settings.group))];
    this.tellNginx(() => {
      this.files.keepOnly(groups);
      for (const group of groups) this.writeFile(group);
    });
  }

  private writeFile(group: string): void {
    const nodes = this.peersOf(group).flatMap(({ settings, origin, reachable, isUp }) => {
      if (origin === undefined) return [];
      return [[String(settings.id), { origin, host: new URL(settings.url).host, up: reachable, well: isUp }] as const];
    });
    this.files.write(group, Object.fromEntries(nodes));
  }

  private tellNginx(write: () => void): void {
    try {
      write();
      this.fileFailed = false;
    } catch (error) {
      // For example because the disk is full. Not an error of the peer; the next poll tries again.
      if (!this.fileFailed) this.warn('nginx could not be told which nodes are up; it is tried again', error);
      this.fileFailed = true;
    }
  }
}
