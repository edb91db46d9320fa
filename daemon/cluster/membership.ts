import type { Peer, PeerState } from './peer.js';

/** Is told what changes in the membership. The list of peers has changed before. */
export interface MembershipListener {
  /** A node has joined. */
  added(peer: Peer): void;
  /** A node has another address; its state is unknown until it has been asked there. */
  moved(peer: Peer): void;
  /** A node has gone for good. Its requests under way may still end. */
  removed(peer: Peer): void;
  /** A peer has been asked, or heard from; `before` is its state before. */
  looked(peer: Peer, before: PeerState): void;
}

/** Which other nodes there are, and how they are. They appear, change their address and go while the daemon runs. */
export interface Membership {
  /** The other nodes, in a list that changes in place. A peer that has gone is not in it any more. */
  readonly peers: readonly Peer[];
  /** Asks every peer once. Resolves when all have answered or failed, or after `milliseconds`. */
  lookAtAll(milliseconds: number): Promise<void>;
  /** Starts to keep the states up to date. */
  start(): void;
  /** Ends that, and aborts all requests to peers. */
  stop(): Promise<void>;
}
