import type { Cluster, Peer } from './cluster.js';

/** A group that could take an upload. */
export interface Destination {
  group: string;
  /** Bytes that every node of it could still take. */
  available: number;
  /** Its nodes that are well, in the order in which they are to be asked; none for this node's own group. */
  peers: Peer[];
}

/**
 * Chooses one of these groups for an upload, by chance, the likelier the more space it has; undefined when none of them
 * takes uploads. `own`: free bytes here, and why no upload can be taken here.
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
  // Where none has space, the last word is the store's own.
  return destinations[0];
}
