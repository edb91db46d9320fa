import type { FileSource } from '../../file-id/file-id.js';
import { groupIds, type Settings } from '../config/settings.js';
import type { Node } from '../status.js';
import { Problem } from './problems.js';

/**
 * The server id of the node that changes an appender or the metadata of a file of this node's group, and that stores its slaves, so that
 * these have one order:
 * its source, or the least id of the group if no node of the group is the source, as for files of FastDFS.
 */
export function changerOf(source: FileSource, settings: Pick<Settings, 'peers' | 'group' | 'serverId'>): number {
  const ids = groupIds(settings);
  return 'serverId' in source && ids.has(source.serverId) ? source.serverId : Math.min(...ids);
}

/**
 * Throws a Problem (`unavailable`) while this node may not have all that its peers have: what it does not know of would be
 * overwritten by what depends on it.
 */
export function assertCaughtUp({ replication }: Pick<Node, 'replication'>): void {
  const { lag } = replication.readiness;
  if (lag !== undefined) throw new Problem('unavailable', `This node is not up to date with its peers yet: ${lag}.`);
}
