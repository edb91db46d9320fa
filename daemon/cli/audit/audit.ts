import { type Stats, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { loadSettings, type Settings } from '../../config/settings.js';
import { DURATION_WORDS, parseSpan } from '../../config/values.js';
import type { ListedFile } from '../../operations/lists.js';
import { counted } from '../../words.js';
import { Client } from '../client.js';
import { CommandFailed, UsedWrongly } from '../errors.js';
import { isStandardInput } from '../input.js';
import { openList } from '../open-list.js';
import { formatBytes, progressBar } from '../output.js';
import { secondsOf } from '../times.js';
import type { Options } from '../transfer.js';
import { Deletions } from './deletions.js';
import { firstColumn, idInLine, type Line, linesOf } from './id-in-line.js';
import { NamedFiles } from './named-files.js';
import { type Difference, type Group, type ReadList, Report } from './report.js';

/** Files of a page, and IDs of a request. */
const BATCH = 1000;
/** Lines without an ID that are quoted. */
const QUOTED = 5;

export interface AuditOptions extends Options {
  csv?: boolean;
  slaves?: boolean;
  allGroups?: boolean;
  olderThan?: string;
  deleteUnnamed?: boolean;
  yes?: boolean;
  force?: boolean;
  temp?: string;
}

/**
 * `fidfs audit`: compares a list of the files that an application knows with those that are stored. Sets the exit status to 1 if they
 * differ. Memory does not grow with their number. Rejects with CommandFailed and UsedWrongly.
 */
export async function audit(file: string, options: AuditOptions): Promise<void> {
  const age = checkOptions(file, options);
  const settings = loadSettings(options.config);
  const client = new Client(settings, options.server);
  const started = Date.now();
  const before = isStandardInput(file) ? undefined : statOf(file);
  // Who made the list cannot name what was uploaded after it.
  const until = Math.floor(Math.min(started, before?.mtimeMs ?? started) / 1000) * 1000 - age;
  const named = new NamedFiles(options.temp ?? tmpdir());
  const report = new Report(options);
  try {
    const read = await readList(file, named, settings);
    report.begin();
    const groups = await lookThrough(client, named, until, options, report);
    const { missing, unknown } = await lookForOthers(client, named, report);
    const unnamed = sumOf(groups, ({ unnamed }) => unnamed);
    say(
      `${counted(read.files, 'file')} named, ${missing} of them missing${unknown === 0 ? '' : `, and of ${unknown} it could not be found out`}`,
    );
    for (const group of groups) say(describe(group, until));
    let left = unnamed;
    if (options.deleteUnnamed && unnamed > 0) {
      const deletions = new Deletions(client, named, report, options);
      const isUnchanged = () => before === undefined || isSame(before, statOf(file));
      try {
        await deletions.assertPlausible(read, groups, isUnchanged);
        left -= await deletions.deleteAll(unnamed);
      } finally {
        report.end();
      }
    } else report.end();
    if (missing + unknown + left + read.bad > 0) process.exitCode = 1;
  } finally {
    named.close();
  }
}

/** Returns the age in milliseconds from which on files are judged. Throws UsedWrongly. */
function checkOptions(file: string, options: AuditOptions): number {
  const { json, csv, slaves, olderThan, deleteUnnamed, yes } = options;
  if (json && csv) throw new UsedWrongly('--json and --csv: write one of them');
  const age = olderThan === undefined ? 0 : parseSpan(olderThan);
  if (age === undefined)
    throw new UsedWrongly(`--older-than: ${JSON.stringify(olderThan)} is not allowed; write ${DURATION_WORDS}`);
  if (!deleteUnnamed) return age;
  if (olderThan === undefined)
    throw new UsedWrongly('--delete-unnamed needs --older-than, such as --older-than 7d: younger files are kept');
  if (slaves)
    throw new UsedWrongly(
      '--slaves: the ID of a slave does not say when it was uploaded; it does not go with --delete-unnamed',
    );
  if (!yes && (isStandardInput(file) || !process.stdin.isTTY))
    throw new UsedWrongly(
      '--delete-unnamed asks first, and standard input is not a terminal; add --yes to delete without a question',
    );
  return age;
}

/** Reads the list into `named`, and quotes the first lines without an ID on standard error. */
async function readList(file: string, named: NamedFiles, { group }: Settings): Promise<ReadList> {
  let bad = 0;
  let isEnded = true;
  for await (const line of linesOf(await openList(file))) {
    isEnded = line.isEnded;
    const id = idInLine(line.text, group);
    if (id !== undefined) named.add(id);
    else if (line.text.trim() !== '' && !isHeading(line)) {
      bad++;
      if (bad <= QUOTED)
        say(`${file}:${line.number}: ${JSON.stringify(line.text.trim().slice(0, 100))} is not the ID of a file`);
    }
  }
  if (bad > QUOTED) say(`${file}: ${counted(bad, 'line')} without an ID in all`);
  const files = named.finish();
  if (files === 0) throw new CommandFailed(`${file} names no file`);
  return { files, bad, isEnded };
}

/** Whether a line is the heading of a table: the first one, and not an address. */
function isHeading({ number, text }: Line): boolean {
  return number === 1 && /^[\p{L}_][\p{L}\p{N}_ ]*$/u.test(firstColumn(text));
}

/** Reads the list of the store, and notes of each file whether it is named. */
async function lookThrough(
  client: Client,
  named: NamedFiles,
  until: number,
  { slaves = false, allGroups = false }: AuditOptions,
  report: Report,
): Promise<Group[]> {
  const groups = new Map<string, Group>();
  const groupOf = (id: string): Group => {
    const name = id.slice(0, id.indexOf('/'));
    const known = groups.get(name);
    if (known) return known;
    const group = { name, isJudged: allGroups || named.namesGroup(name), files: 0, unnamed: 0, bytes: 0 };
    groups.set(name, group);
    return group;
  };
  const judge = ({ id, size, created }: ListedFile): Difference[] => {
    const group = groupOf(id);
    group.files++;
    const isNamed = named.markFound(id) || (!slaves && named.namesFamilyOf(id));
    if (isNamed || !group.isJudged) return [];
    group.unnamed++;
    group.bytes += size;
    named.addUnnamed({ id, size, created });
    return [{ state: 'unnamed', id, size, created }];
  };
  const bar = process.stdout.isTTY ? undefined : progressBar('{value} files', 0);
  const query = { order: 'oldest', limit: String(BATCH), to: secondsOf(until) };
  try {
    for (let after: Record<string, string> | undefined = {}; after; ) {
      const page = await client.list({ ...query, ...after });
      report.add(named.atOnce(() => page.files.flatMap(judge)));
      bar?.increment(page.files.length);
      after = page.next === undefined ? undefined : { after: page.next };
    }
  } finally {
    bar?.stop();
  }
  return [...groups.values()];
}

/** Asks for each named file that is not in the list of the store: new files are not, nor those of FastDFS that are not adopted. */
async function lookForOthers(
  client: Client,
  named: NamedFiles,
  report: Report,
): Promise<{ missing: number; unknown: number }> {
  const counts = { missing: 0, unknown: 0 };
  for (const ids of named.notFound(BATCH)) {
    const results = await client.many('stat', ids);
    const others = results.filter(({ status }) => status !== 'stored');
    report.add(
      others.map((result): Difference => {
        const { id, status } = result;
        if (status === 'not-found') return { state: 'missing', id };
        return { state: 'unknown', id, detail: ('detail' in result && result.detail) || status };
      }),
    );
    const missing = others.filter(({ status }) => status === 'not-found').length;
    counts.missing += missing;
    counts.unknown += others.length - missing;
  }
  return counts;
}

function describe({ name, isJudged, files, unnamed, bytes }: Group, until: number): string {
  const before = `${counted(files, 'file')} until ${new Date(until).toISOString().slice(0, 19)}Z`;
  if (!isJudged)
    return `${name}: ${before}, not judged, because the list names none of this group (--all-groups judges all)`;
  return `${name}: ${before}, ${unnamed} of them unnamed${unnamed === 0 ? '' : ` (${formatBytes(bytes)})`}`;
}

function say(text: string): void {
  process.stderr.write(`fidfs: ${text}\n`);
}

function statOf(file: string): Stats | undefined {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats?.isFile() ? stats : undefined;
}

function isSame(before: Stats, now: Stats | undefined): boolean {
  return now !== undefined && now.ino === before.ino && now.size === before.size && now.mtimeMs === before.mtimeMs;
}

function sumOf(groups: readonly Group[], number: (group: Group) => number): number {
  return groups.reduce((sum, group) => sum + number(group), 0);
}
