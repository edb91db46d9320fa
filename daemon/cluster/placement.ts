import type { Cluster, Peer } from './cluster.js';

/** A group that can take an upload. */
export interface Destination {
  group: string;
  /** Bytes available on every node of the group. */
  available: number;
  /** Its nodes that take uploads, in the order to try; empty for this node's own group. */
  peers: Peer[];
}

/**
 * Chooses one of `groups` for an upload at random, weighted by the available space. Returns undefined if none takes uploads.
 * @param own available bytes on this node, and the human-readable reason why it takes no uploads
 */
export function chooseDestination(
  cluster: Cluster,
  own: { available: number; unavailable: string | undefined },
  groups: ReadonlySet<string>,
): Destination | undefined {
  const destinations = cluster.groups.flatMap((group): Destination[] => {
    if (!groups.has(group)) return [];
    const peers = cluster.peersOf(group).filter(({ isUp, hello }) => isUp && hello?.trouble === null);
    const theirs = peers.map(({ hello }) => hello?.available ?? 0);
    if (group !== cluster.ownGroup) {
      peers.sort(() => Math.random() - 0.5);
      return peers.length > 0 ? [{ group, available: Math.min(...theirs), peers }] : [];
    }
    return own.unavailable === undefined ? [{ group, available: Math.min(own.available, ...theirs), peers: [] }] : [];
  });
  let point = Math.random() * destinations.reduce((sum, { available }) => sum + available, 0);
  for (const destination of destinations) {
    point -= destination.available;
    if (point < 0) return destination;
  }
  // No group has space: the store rejects the upload with the reason.
  return destinations[0];
}
