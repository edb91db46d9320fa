import type { Status } from '../status.js';
import { storePathLabel } from '../store/layout.js';
import { counted } from '../words.js';
import { formatBytes, formatTable } from './output.js';

/** Kinds of findings in order of severity: possible data loss, refused uploads, delays. */
const WORST_FIRST = [
  ...[
    'index',
    'rolled-back',
    'damage',
    'missing',
    'foreign',
    'disk',
    'not-ready',
    'too-few-copies',
    'replication',
    'set-aside',
    'under-copied',
    'events',
    'keys',
    'peer',
    'settings',
    'down',
  ],
] as const;

interface Finding {
  kind: (typeof WORST_FIRST)[number];
  /** Human-readable. */
  text: string;
}

/** Human-readable findings of this node and its peers, without duplicates, the most severe first; empty if all is well. */
export function findingsOf(status: Status): string[] {
  const { notReady, storePaths, peers, alarms, setAside, underCopied, missing, group } = status;
  const own = findingsIn(alarms, notReady);
  for (const { root, trouble } of storePaths) {
    if (trouble === null || notReady?.includes(`${root}: `)) continue;
    own.push({ kind: 'disk', text: `${root}: the store path takes no files: ${trouble}` });
  }
  for (const { id, state, reason, differing } of peers) {
    if (differing.length > 0) own.push({ kind: 'settings', text: differentSettings(id, differing) });
    if (state === 'up') continue;
    own.push({ kind: state === 'wrong' ? 'peer' : 'down', text: reason ?? `node ${id} is ${state}` });
  }
  if (underCopied > 0) own.push({ kind: 'under-copied', text: fewerCopies(underCopied) });
  const isAlone = !peers.some((peer) => peer.group === group);
  // Each also has an alarm, unless it dates from before the daemon's start; the same holds below.
  if (isAlone && missing > own.filter(({ kind }) => kind === 'damage').length) {
    const [are, them] = missing === 1 ? ['is', 'it'] : ['are', 'them'];
    const text = `${counted(missing, 'file')} ${are} missing, and there is no other node to fetch ${them} from`;
    own.push({ kind: 'missing', text });
  }
  if (setAside > own.filter(({ kind }) => kind === 'set-aside').length)
    own.push({ kind: 'set-aside', text: setAsideWords(setAside) });
  if (status.foreign > 0) own.push(foreignFiles(status.foreign));
  const all = distinct(own);
  for (const { id, state, hello } of peers) {
    if (hello === null || state !== 'up') continue;
    const foreign = hello.foreign > 0 ? [foreignFiles(hello.foreign)] : [];
    const theirs = distinct([...findingsIn(hello.alarms, hello.trouble), ...foreign]);
    all.push(...theirs.map(({ kind, text }) => ({ kind, text: `node ${id}: ${text}` })));
  }
  const rank = ({ kind }: Finding) => WORST_FIRST.indexOf(kind);
  return all.sort((one, other) => rank(one) - rank(other)).map(({ text }) => text);
}

function differentSettings(id: number, names: string[]): string {
  const what = names.map((name) => (name === 'keys' ? 'other keys (key, keys.json)' : `another ${name}`));
  return `node ${id} has ${what.join(' and ')} than this node; make them equal on all nodes`;
}

function fewerCopies(number: number): string {
  return number === 1
    ? '1 upload or deletion has fewer copies than promised'
    : `${number} uploads and deletions have fewer copies than promised`;
}

function foreignFiles(number: number): Finding {
  const [files, are] = number === 1 ? ['file', 'is'] : ['files', 'are'];
  const text = `${number.toLocaleString('en')} ${files} of FastDFS ${are} on this node alone: run fidfs adopt`;
  return { kind: 'foreign', text };
}

function setAsideWords(number: number): string {
  return `${counted(number, 'file')} could not be fetched and ${number === 1 ? 'is' : 'are'} set aside`;
}

/** The findings from a node's alarms, and why it is not ready. */
function findingsIn(alarms: string[], notReady: string | null): Finding[] {
  // `notReady` names the directories of unavailable store paths, so their alarms would be duplicates.
  const isSaid = (alarm: string) => {
    const root = /^disk: (.+?: )/.exec(alarm)?.[1];
    return root !== undefined && notReady?.includes(root) === true;
  };
  const findings = alarms.filter((alarm) => !isSaid(alarm)).map(alarmOf);
  return notReady === null ? findings : [...findings, { kind: 'not-ready', text: notReady }];
}

/** Converts an alarm's text, which begins with its kind. Unknown kinds, of a newer node, count as damage. */
function alarmOf(text: string): Finding {
  return { kind: WORST_FIRST.find((one) => text.startsWith(`${one}: `)) ?? 'damage', text };
}

/** Removes findings whose text is contained in another one. */
function distinct(findings: Finding[]): Finding[] {
  return findings.filter(
    ({ text }, place) =>
      !findings.some((other, its) => other.text.includes(text) && (other.text !== text || its < place)),
  );
}

/** Formats the status as tables, followed by the findings. */
export function formatStatus(status: Status, findings: string[]): string {
  const { group, serverId, version, files, bytes, saved, storePaths, peers, comparison } = status;
  const shared = saved > 0 ? `, of which deduplication saves ${formatBytes(saved)}` : '';
  const head = `${group}, server ${serverId}, fidfs ${version}: ${counted(files, 'file')}, ${formatBytes(bytes)}${shared}\n`;
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
      `comparing with node ${peer}: ${directories} of ${counted(of, 'directory that differs', 'directories that differ')}, ${counted(fetched, 'file')} fetched\n`,
    );
  }
  if (status.events) parts.push(eventsLine(status.events));
  if (status.noPictures !== null) parts.push(`/picture/ answers 501: ${status.noPictures}.\n`);
  parts.push(findings.length === 0 ? 'All is well.\n' : `In trouble:\n${findings.map((one) => `  ${one}\n`).join('')}`);
  return parts.join('');
}

/** Where events are sent, and how many wait. */
function eventsLine({ target, waiting, oldest, dropped, failure }: NonNullable<Status['events']>): string {
  const since = oldest === null ? '' : `, the oldest of ${oldest}`;
  const lost = dropped > 0 ? `; ${dropped} dropped since the start` : '';
  const trouble = failure === null ? '' : `; they cannot be sent: ${failure}`;
  return `events to ${target}: ${counted(waiting, 'waits', 'wait')}${since}${lost}${trouble}\n`;
}

/** One row per node; "behind" is its replication lag for each other node. */
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
