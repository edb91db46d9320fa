import type { FileSource } from '../../file-id/file-id.js';
import { groupIds, type Settings } from '../config/settings.js';

/**
 * The server id of the node that changes an appender or the metadata of a file of this node's group, so that the changes have one order:
 * its source, or the least id of the group if no node of the group is the source, as for files of FastDFS.
 */
export function changerOf(source: FileSource, settings: Pick<Settings, 'peers' | 'group' | 'serverId'>): number {
  const ids = groupIds(settings);
  return 'serverId' in source && ids.has(source.serverId) ? source.serverId : Math.min(...ids);
}
