import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { distance } from 'fastest-levenshtein';
import { z } from 'zod';
import fileId from '../../file-id/file-id.js';
import { QUOTABLE_WORDS } from '../../nginx/quote.js';
import { characterIn } from '../words.js';
import { contradictionsOfNats, natsSettings } from './nats.js';
import { origins } from './origins.js';
import { legacy, type PeerSettings, peers } from './other-machines.js';
import { pictureSettings } from './pictures.js';
import { contradictionsOfPrivateFiles, privateFileSettings } from './private-files.js';
import { SettingsError } from './settings-error.js';
import {
  DURATION_WORDS,
  faultOfSecret,
  flag,
  integer,
  isNetwork,
  isSecret,
  list,
  oneOf,
  parseAddress,
  parseDuration,
  parseGroup,
  parseRate,
  parseSize,
  path,
  type Reserve,
  refusedInPath,
  SIZE_WORDS,
  tokenKey,
  value,
} from './values.js';

export type { LegacyGroup, PeerSettings } from './other-machines.js';
export { SettingsError } from './settings-error.js';
export { type Address, faultOfSecret, formatAddress, type Reserve } from './values.js';

function secret() {
  return z
    .string({ error: 'write 16 to 256 visible ASCII characters in quotes' })
    .refine(isSecret, { error: ({ input }) => faultOfSecret(String(input)) })
    .optional();
}

/** Creates a function that names the first character of a value that matches `pattern`. */
function besides(pattern: RegExp): (text: string) => string | undefined {
  return (text) => characterIn(text, pattern);
}

function duration() {
  return value(parseDuration, DURATION_WORDS);
}

/** A host and a port. `example` is part of the error message. */
function address(example: string) {
  return value(parseAddress, `host:port, such as ${example}`, besides(/[^A-Za-z0-9.:[\]-]/u));
}

/** A list of IP addresses and networks. */
function networks() {
  return list((text) => (isNetwork(text) ? text : undefined), 'an address or a network, such as 10.0.0.0/8');
}

const schema = z.strictObject({
  data: path.default(resolve('var')),
  storePaths: list(
    (text) => (path.safeParse(text).success ? resolve(text) : undefined),
    `a path ${QUOTABLE_WORDS}`,
    refusedInPath,
  )
    .refine((paths) => paths.length >= 1 && paths.length <= 256, 'write 1 to 256 paths')
    .refine((paths) => new Set(paths).size === paths.length, 'a path is given twice; write each once')
    .optional(),
  listen: address('127.0.0.1:8080').default({
    host: '127.0.0.1',
    port: 8080,
  }),
  daemonListen: address('127.0.0.1:8081').default({
    host: '127.0.0.1',
    port: 8081,
  }),
  group: value(
    parseGroup,
    '1 to 16 letters, digits, - or _ (but not "info", "tus", "upload", "metadata", "picture" or "console")',
    besides(/[^A-Za-z0-9_-]/u),
  ).default('group1'),
  serverId: value(integer(1, fileId.MAX_SERVER_ID), `a number from 1 to ${fileId.MAX_SERVER_ID}`).default(1),
  key: secret(),
  publicUrl: value(
    (text) =>
      /^https?:\/\/[A-Za-z0-9.:[\]-]+(\/[A-Za-z0-9._~/-]*)?$/.test(text) && URL.canParse(text)
        ? text.replace(/\/+$/, '')
        : undefined,
    'a URL that begins with http:// or https://, such as https://files.example.com',
    besides(/[^A-Za-z0-9.:[\]~_/-]/u),
  ).optional(),
  uploads: oneOf('key', 'open').default('key'),
  ...privateFileSettings,
  activeTypes: oneOf('attachment', 'inline').default('attachment'),
  charset: value(
    (text) => (/^[A-Za-z0-9][A-Za-z0-9._:-]{0,39}$/.test(text) ? text : undefined),
    'the name of an encoding such as utf-8, or "off"',
    besides(/[^A-Za-z0-9._:-]/u),
  ).default('utf-8'),
  gzip: oneOf('on', 'off').default('on'),
  workers: value(
    (text) => (text === 'auto' ? text : integer(1, 1024)(text)),
    '"auto" or a number from 1 to 1024',
  ).default('auto'),
  metricsFrom: networks().default([]),
  maxFileSize: value(parseSize, SIZE_WORDS).default(10 * 2 ** 30),
  reserve: value((text): Reserve | undefined => {
    const share = /^(\d+(?:\.\d+)?) ?%$/.exec(text);
    if (share) return Number(share[1]) < 100 ? { share: Number(share[1]) / 100 } : undefined;
    const bytes = parseSize(text);
    return bytes === undefined ? undefined : { bytes };
  }, `a share such as 5%, or ${SIZE_WORDS}`).default({ share: 0.05 }),
  sync: oneOf('batch', 'file', 'off').default('batch'),
  peers: peers().default([]),
  peerSecret: secret(),
  copies: value(integer(1, 255), 'a number from 1 to the number of nodes in the group').optional(),
  copyTimeout: duration().default(10_000),
  maxLag: duration().default(10_000),
  repairInterval: duration().default(3_600_000),
  repairRate: value(parseRate, 'a size a second, such as 100MiB/s').default(100 * 2 ** 20),
  scrubDays: value(
    (text) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined),
    'a number of days, 0 for off',
  ).default(14),
  alertUrl: value(
    (text) => (/^https?:\/\//.test(text) && URL.canParse(text) ? text : undefined),
    'a URL that begins with http:// or https://',
  ).optional(),
  deduplicate: flag.default(true),
  readOnly: flag.default(false),
  legacy: legacy().default([]),
  seeking: oneOf('on', 'off').default('on'),
  notFoundImage: path.optional(),
  urlHasGroup: flag.default(true),
  corsOrigins: origins().default([]),
  corsDownloads: origins().default(['*']),
  ...pictureSettings,
  fastdfsTokenKey: tokenKey.optional(),
  fastdfsTokenTtl: duration().default(600_000),
  fastdfsTokenFailImage: path.optional(),
  fastdfsTokenStrict: flag.default(false),
  fastdfsTracker: address('0.0.0.0:22122').optional(),
  fastdfsStorage: address('0.0.0.0:23000').optional(),
  fastdfsFrom: networks().default([
    ...['127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16'],
    ...['::1', 'fc00::/7', 'fe80::/10'],
  ]),
  fastdfsAddress: value((text) => (isIP(text) === 0 ? undefined : text), 'an IP address, such as 10.0.0.1').optional(),
  fastdfsAddressWidth: oneOf('ipv4', 'ipv6').default('ipv4'),
  ...natsSettings,
});

/** All settings with defaults; see docs/settings.md. Sizes are in bytes, durations in milliseconds, rates in bytes per second. */
export type Settings = Omit<z.output<typeof schema>, 'storePaths' | 'copies'> & {
  storePaths: string[];
  /** Number of nodes on which a file is durable before its 201. */
  copies: number;
};

/** The keys of the settings file. */
export const SETTING_NAMES: readonly string[] = Object.keys(schema.shape);

/**
 * The Unix socket at which nginx reaches the daemon; it costs the daemon less than TCP (29 µs per request, not 38). Undefined
 * if the path is longer than a socket's may be (sun_path, unix(7)); then nginx uses `daemonListen`.
 */
export function daemonSocket({ data }: Pick<Settings, 'data'>): string | undefined {
  const path = resolve(data, 'daemon.sock');
  return Buffer.byteLength(path) <= 107 ? path : undefined;
}

/** The groups of the cluster, this node's own first. */
export function clusterGroups({ peers, group }: Pick<Settings, 'peers' | 'group'>): string[] {
  return [...new Set([group, ...peers.map((peer) => peer.group)])];
}

/** The other nodes of this node's group. */
export function groupPeers({ peers, group }: Pick<Settings, 'peers' | 'group'>): PeerSettings[] {
  return peers.filter((peer) => peer.group === group);
}

/** The server ids of this node and of the others of its group, whose files this node stores. */
export function groupIds(settings: Pick<Settings, 'peers' | 'group' | 'serverId'>): ReadonlySet<number> {
  return new Set([settings.serverId, ...groupPeers(settings).map(({ id }) => id)]);
}

/** `maxFileSize` is FIDFS_MAX_FILE_SIZE. */
export function environmentName(key: string): string {
  return `FIDFS_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** The message for an unknown setting: suggests a similar name, or lists all names. */
function noSuchSetting(name: string, names: readonly string[]): string {
  const key = name.replace(/^FIDFS_/, '').toLowerCase();
  const letters = (one: string) => one.replace(/^FIDFS_/, '').toLowerCase();
  const nearest = names.toSorted((one, other) => distance(letters(one), key) - distance(letters(other), key))[0];
  const isMeant = nearest !== undefined && distance(letters(nearest), key) <= Math.ceil(key.length / 3);
  return `${name}: no such setting; ${isMeant ? `did you mean ${nearest}?` : `there are ${names.join(', ')}`}`;
}

function readSettingsFile(file: string): Record<string, unknown> {
  let text: string;
  let json: unknown;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new SettingsError(`cannot read the settings file ${file}: ${(error as Error).message}`, { cause: error });
  }
  try {
    json = JSON.parse(text);
  } catch {
    // The parser's message quotes the text, which may contain the key.
    throw new SettingsError(`the settings file ${file} is not JSON; look for a missing quote or comma, or a comment`);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new SettingsError(`the settings file ${file} must hold one JSON object, such as {"listen": "0.0.0.0:80"}`);
  }
  return { ...json };
}

/**
 * Reads the settings: the file named by `file` or FIDFS_CONFIG, then the environment, which wins.
 * Throws a SettingsError that names every wrong or unknown key and says what is allowed.
 */
export function loadSettings(file: string | undefined, environment: NodeJS.ProcessEnv = process.env): Settings {
  const given = file ?? environment.FIDFS_CONFIG;
  const merged = given === undefined ? {} : readSettingsFile(given);
  const mistakes: string[] = [];
  const variables = new Map(SETTING_NAMES.map((key) => [environmentName(key), key]));
  for (const [name, text] of Object.entries(environment)) {
    const key = variables.get(name);
    if (key !== undefined && text !== undefined && text !== '') merged[key] = text;
    else if (name.startsWith('FIDFS_') && key === undefined && name !== 'FIDFS_CONFIG') {
      mistakes.push(noSuchSetting(name, [...variables.keys()]));
    }
  }
  const parsed = schema.safeParse(merged);
  for (const issue of parsed.error?.issues ?? []) {
    if (issue.code === 'unrecognized_keys') {
      mistakes.push(...issue.keys.map((key) => noSuchSetting(key, SETTING_NAMES)));
    } else {
      const key = String(issue.path[0]);
      const name = environment[environmentName(key)] ? environmentName(key) : key;
      mistakes.push(`${name}: ${issue.message}`);
    }
  }
  if (!parsed.success || mistakes.length > 0) throw new SettingsError(mistakes.join('\n'));
  const { data, storePaths = [resolve(data, 'store0')], group, peers } = parsed.data;
  const nodes = 1 + peers.filter((peer) => peer.group === group).length;
  const settings = { ...parsed.data, storePaths, copies: parsed.data.copies ?? Math.min(2, nodes) };
  mistakes.push(...contradictions(settings, nodes), ...contradictionsOfPrivateFiles(settings));
  mistakes.push(...contradictionsOfNats(settings));
  if (mistakes.length > 0) throw new SettingsError(mistakes.join('\n'));
  return settings;
}

/** Mistakes in combinations of settings that are valid each by itself. */
function contradictions(
  { data, storePaths, peers, group, serverId, key, peerSecret, copies, urlHasGroup, legacy, readOnly }: Settings,
  nodes: number,
): string[] {
  const mistakes: string[] = [];
  if (!urlHasGroup && clusterGroups({ peers, group }).length > 1) {
    mistakes.push('urlHasGroup: with several groups an address needs its group; leave it true');
  }
  for (const { group: elsewhere } of legacy.filter((one) => clusterGroups({ peers, group }).includes(one.group))) {
    mistakes.push(`legacy: ${elsewhere} is a group of this cluster, which serves its files itself; leave it out`);
  }
  if (readOnly && nodes > 1) {
    mistakes.push('readOnly: with other nodes in the group, which copy to this one, it must be false');
  }
  if (storePaths.some((storePath) => storePath === data)) {
    mistakes.push('storePaths: a store path cannot be the data directory itself; write another directory');
  }
  if (peers.length > 0) {
    if (key === undefined) mistakes.push('key: with peers it must be set, the same on all nodes');
    if (peerSecret === undefined) mistakes.push('peerSecret: with peers it must be set, the same on all nodes');
    if (peers.some(({ id }) => id === serverId)) {
      mistakes.push(`peers: ${serverId} is the serverId of this node itself; leave it out, or give each node its own`);
    }
  }
  if (copies > nodes)
    mistakes.push(
      `copies: ${copies} copies need as many nodes in the group; here ${nodes === 1 ? 'is' : 'are'} ${nodes}`,
    );
  return mistakes;
}
