import type { Status } from '../status.js';
import { storePathLabel } from '../store/layout.js';
import { formatBytes, formatTable } from './output.js';

/** Everything that is not well, for people; none when all is. */
export function troublesOf(status: Status): string[] {
  const { notReady, storePaths, peers, alarms, setAside, underCopied } = status;
  const troubles = [notReady, ...storePaths.map(({ trouble }) => trouble)].filter((one) => one !== null);
  for (const { id, state, reason, hello } of peers) {
    if (state !== 'up') troubles.push(reason ?? `node ${id} is ${state}`);
    if (hello && state === 'up' && hello.trouble !== null) troubles.push(`node ${id}: ${hello.trouble}`);
    if (hello && state === 'up') troubles.push(...hello.alarms.map((alarm) => `node ${id}: ${alarm}`));
  }
  if (underCopied > 0) troubles.push(`${underCopied} uploads and deletions have fewer copies than promised`);
  if (setAside > 0) troubles.push(`${setAside} files could not be fetched and are set aside`);
  return [...new Set([...troubles, ...alarms])];
}

/** The status as tables, and one line that says whether all is well. */
export function formatStatus(status: Status, troubles: string[]): string {
  const { group, serverId, version, files, bytes, saved, storePaths, peers, comparison } = status;
  const shared = saved > 0 ? `, of which deduplication saves ${formatBytes(saved)}` : '';
  const head = `${group}, server ${serverId}, fidfs ${version}: ${files} files, ${formatBytes(bytes)}${shared}\n`;
  const paths = storePaths.map((path) => [
    storePathLabel(path.number),
    path.root,
    formatBytes(path.available),
    formatBytes(path.capacity),
    path.trouble ?? 'well',
  ]);
  const parts = [head, formatTable([['PATH', 'DIRECTORY', 'AVAILABLE', 'SIZE', 'STATE'], ...paths])];
  if (peers.length > 0) parts.push(nodesTable(status));
  if (comparison) {
    const { peer, directories, of, files: fetched } = comparison;
    parts.push(
      `comparing with node ${peer}: ${directories} of ${of} directories that differ, ${fetched} files fetched\n`,
    );
  }
  parts.push(troubles.length === 0 ? 'All is well.\n' : `In trouble: ${troubles.join('; ')}\n`);
  return parts.join('');
}

/** One row a node; "behind" is what it has not got of each other node's log. */
function nodesTable(status: Status): string {
  const rows = [
    { id: status.serverId, group: status.group, state: 'up', hello: status },
    ...status.peers.map(({ id, group, state, hello }) => ({ id, group, state, hello })),
  ].map(({ id, group, state, hello }) => [
    String(id),
    group,
    state,
    hello ? String(hello.files) : '',
    hello ? formatBytes(hello.available) : '',
    (hello?.backlog ?? [])
      .filter(({ entries }) => entries > 0)
      .map(({ peer, entries, seconds }) => `${peer}: ${entries} (${Math.round(seconds)} s)`)
      .join(', ') || '-',
    hello ? String(hello.missing) : '',
    hello ? new Date(hello.oldestScrub * 1000).toISOString().slice(0, 10) : '',
  ]);
  const heading = ['NODE', 'GROUP', 'STATE', 'FILES', 'AVAILABLE', 'BEHIND', 'MISSING', 'OLDEST SCRUB'];
  return formatTable([heading, ...rows]);
}
