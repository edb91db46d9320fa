import type { Command } from 'commander';
import {
  addKey,
  isKeyName,
  type KeyEntry,
  MAIN_KEY,
  NAME_WORDS,
  RIGHTS,
  type Right,
  readKeys,
  writeKeys,
} from '../config/keys.js';
import { loadSettings, type Settings } from '../config/settings.js';
import { parseGroup, parseSize, parseTime, SIZE_WORDS } from '../config/values.js';
import { lockKeys } from '../index/lock.js';
import { CommandFailed, UsedWrongly } from './errors.js';
import { formatBytes, formatTable, print, printJson } from './output.js';
import { enterDataDirectory } from './owner.js';

interface CommonOptions {
  config?: string;
  json?: boolean;
}

interface AddOptions extends CommonOptions {
  rights: string;
  groups?: string;
  maxFileSize?: string;
  expires?: string;
}

const EXPIRY_WORDS = 'a number with h or d, such as 90d, or a date in the future, such as 2027-06-30';
const MILLISECONDS: Record<string, number> = { h: 3_600_000, d: 86_400_000 };

/** Adds the subcommands of `fidfs keys`. */
export function addKeysCommands(keys: Command): void {
  const subcommand = (usage: string, description: string) =>
    keys
      .command(usage)
      .description(description)
      .option('-c, --config <file>', 'settings file (default: FIDFS_CONFIG)')
      .option('--json', 'print one JSON document')
      .showHelpAfterError(`"fidfs keys ${usage.split(' ', 1)[0]} --help" shows the usage`);

  subcommand(
    'add <name>',
    'Make a key and print it, once. A second key of the same name makes a change without a gap possible.',
  )
    .requiredOption('-r, --rights <rights>', `what it permits, separated by commas: ${RIGHTS.join(', ')}`)
    .option('-g, --groups <groups>', 'the groups that it is for, separated by commas (default: all)')
    .option('-m, --max-file-size <size>', 'the largest file, such as 10MiB')
    .option('-e, --expires <when>', 'when it expires: after 90d, or on 2027-06-30 (UTC)')
    .action(add);
  subcommand('list', 'List the named keys, without the keys themselves.').action(list);
  subcommand('remove <name>', 'Remove a key; it is refused within a second.')
    .option('--id <id>', 'which one, if there are two of that name')
    .action(remove);
}

function add(name: string, options: AddOptions): void {
  if (name === MAIN_KEY)
    throw new UsedWrongly(`"${MAIN_KEY}" is the name of the key in the settings; choose another one`);
  if (!isKeyName(name)) throw new UsedWrongly(`${JSON.stringify(name)} is not allowed as a name; write ${NAME_WORDS}`);
  const wanted = {
    name,
    rights: parseRights(options.rights),
    groups: options.groups === undefined ? undefined : parseGroups(options.groups),
    maxFileSize: options.maxFileSize === undefined ? undefined : parseLimit(options.maxFileSize),
    expires: options.expires === undefined ? undefined : parseExpiry(options.expires),
  };
  const settings = loadSettings(options.config);
  const { key, id } = withKeys(settings, () => addKey(settings.data, wanted));
  if (options.json) printJson({ name, id, key });
  else print(`${key}\n`);
  const others = settings.peers.length > 0 ? '; copy keys.json to the data directories of the other nodes' : '';
  process.stderr.write(`fidfs: this is key ${name} (${id}), and it is not shown again${others}\n`);
}

function list(options: CommonOptions): void {
  const settings = loadSettings(options.config);
  const keys = withKeys(settings, () => readKeys(settings.data));
  if (options.json) {
    printJson(keys.map(({ sha256: _sha256, secret: _secret, ...shown }) => shown));
    return;
  }
  const heading = ['NAME', 'ID', 'RIGHTS', 'GROUPS', 'LARGEST FILE', 'CREATED', 'EXPIRES'];
  print(formatTable([heading, ...keys.map(rowOf)]));
}

function rowOf({ name, id, rights, groups, maxFileSize, created, expires }: KeyEntry): string[] {
  const hasExpired = expires !== undefined && Date.parse(expires) <= Date.now();
  return [
    ...[name, id, rights.join(','), groups?.join(',') ?? 'all'],
    maxFileSize === undefined ? '-' : formatBytes(maxFileSize),
    created.slice(0, 10),
    expires === undefined ? '-' : `${expires.slice(0, 16)}Z${hasExpired ? ' (expired)' : ''}`,
  ];
}

function remove(name: string, options: CommonOptions & { id?: string }): void {
  const settings = loadSettings(options.config);
  const removed = withKeys(settings, () => {
    const keys = readKeys(settings.data);
    const named = keys.filter((key) => key.name === name && (options.id ?? key.id) === key.id);
    const [only, ...more] = named;
    if (!only)
      throw new CommandFailed(
        `there is no key ${name}${options.id === undefined ? '' : ` with the id ${options.id}`}; "fidfs keys list" lists them`,
      );
    if (more.length > 0)
      throw new CommandFailed(`there are several: ${named.map(said).join(', ')}; choose one by --id`);
    writeKeys(
      settings.data,
      keys.filter((key) => key !== only),
    );
    return only;
  });
  if (options.json) printJson({ name, id: removed.id });
  else print(`removed ${said(removed)}\n`);
}

function said({ name, id, created }: KeyEntry): string {
  return `${name} (${id}, of ${created.slice(0, 16)}Z)`;
}

/** Runs `action` as the owner of the data directory, and alone of all commands that change the keys. */
function withKeys<T>(settings: Settings, action: () => T): T {
  enterDataDirectory(settings);
  const unlock = lockKeys(settings.data);
  try {
    return action();
  } finally {
    unlock();
  }
}

function parts(text: string): string[] {
  return text.split(',').map((part) => part.trim());
}

function parseRights(text: string): Right[] {
  return parts(text).map((part) => {
    const right = RIGHTS.find((one) => one === part);
    if (right === undefined)
      throw new UsedWrongly(
        `--rights: ${JSON.stringify(part)} is not allowed; write one or more of ${RIGHTS.join(', ')}`,
      );
    return right;
  });
}

function parseGroups(text: string): string[] {
  for (const part of parts(text)) {
    if (parseGroup(part) === undefined)
      throw new UsedWrongly(`--groups: ${JSON.stringify(part)} is not allowed; write group1,group2`);
  }
  return parts(text);
}

function parseLimit(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined)
    throw new UsedWrongly(`--max-file-size: ${JSON.stringify(text)} is not allowed; write ${SIZE_WORDS}`);
  return bytes;
}

/** A time in the future, from a duration or a date in UTC. */
function parseExpiry(text: string): Date {
  const [, number, unit = ''] = /^(\d{1,6}) ?([hd])$/.exec(text) ?? [];
  const time = number === undefined ? parseTime(text) : Date.now() + Number(number) * (MILLISECONDS[unit] ?? 0);
  // Zod's datetime, which the file has, ends with the year 9999.
  if (time > Date.now() && time < Date.UTC(9999, 0)) return new Date(time);
  throw new UsedWrongly(`--expires: ${JSON.stringify(text)} is not allowed; write ${EXPIRY_WORDS}`);
}
