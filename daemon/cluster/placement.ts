import type { Cluster, Member } from './cluster.js';

/** A group that could take an upload. */
export interface Place {
  group: string;
  /** Bytes that every node of it could still take. */
  available: number;
  /** Its nodes that are well, in the order in which they are to be asked; none for this node's own group. */
  members: Member[];
}

/**
 * Chooses one of these groups for an upload, by chance, the likelier the more space it has; undefined when none of them
 * takes uploads. `own`: free bytes here, and why no upload can be taken here.
 */
export function choosePlace(
  cluster: Cluster,
  own: { available: number; trouble: string | undefined },
  groups: ReadonlySet<string>,
): Place | undefined {
  const places = cluster.groups.flatMap((group): Place[] => {
    if (!groups.has(group)) return [];
    const members = cluster.membersOf(group).filter(({ isUp, hello }) => isUp && hello?.trouble === null);
    const theirs = members.map(({ hello }) => hello?.available ?? 0);
    if (group !== cluster.ownGroup) {
      members.sort(() => Math.random() - 0.5);
      return members.length > 0 ? [{ group, available: Math.min(...theirs), members }] : [];
    }
    return own.trouble === undefined ? [{ group, available: Math.min(own.available, ...theirs), members: [] }] : [];
  });
  let point = Math.random() * places.reduce((sum, { available }) => sum + available, 0);
  for (const place of places) {
    point -= place.available;
    if (point < 0) return place;
  }
  // Where none has space, the last word is the store's own.
  return places[0];
}
