import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { z } from 'zod';
import fileId from '../../file-id/file-id.js';

/** A wrong setting, a missing file: its message is for the person who starts fidfs, one line per mistake. */
export class SettingsError extends Error {
  override name = 'SettingsError';
}

/** A host and a port, as in `127.0.0.1:8080` or `[::1]:8080`. */
export interface Address {
  host: string;
  port: number;
}

/** How much of each store path stays free: a share of its size, or bytes. */
export type Reserve = { share: number } | { bytes: number };

const UNITS: Record<string, number> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
const SIZE_WORDS = 'a number of bytes, or a number with KiB, MiB, GiB or TiB, such as 10GiB';

function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?(B|KiB|MiB|GiB|TiB)?$/.exec(text);
  const bytes = match ? Math.round(Number(match[1]) * (UNITS[match[2] ?? 'B'] as number)) : Number.NaN;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port < 1 || port > 65535 || (match[1] && isIP(match[1]) !== 6)) return undefined;
  return { host: (match[1] ?? match[2]) as string, port };
}

/** The address as nginx, URLs and people write it. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
}

/** A value from the file (string or number) or the environment (string), read by `parse`, else an error with `allowed`. */
function value<T>(parse: (text: string) => T | undefined, allowed: string) {
  return z.union([z.string(), z.number()], { error: `write ${allowed}` }).transform((given, context): T => {
    const parsed = parse(String(given).trim());
    if (parsed !== undefined) return parsed;
    context.addIssue({ code: 'custom', message: `${JSON.stringify(given)} is not allowed; write ${allowed}` });
    return z.NEVER;
  });
}

function oneOf<const T extends string>(...choices: T[]) {
  return value((text) => choices.find((choice) => choice === text), choices.map((c) => `"${c}"`).join(' or '));
}

function list<T>(parse: (text: string) => T | undefined, allowed: string) {
  const item = value(parse, allowed);
  const commas = z.string().transform((text): unknown[] => text.split(',').filter((part) => part.trim() !== ''));
  const either = z.union([commas, z.array(z.unknown())], { error: `write ${allowed}; several in a list` });
  return either.pipe(z.array(item));
}

function integer(minimum: number, maximum: number) {
  return (text: string) => {
    const number = Number(text);
    return /^\d+$/.test(text) && number >= minimum && number <= maximum ? number : undefined;
  };
}

/** Paths go into nginx's configuration, where these have a meaning that cannot be quoted away. */
const path = value(
  (text) => (/^[^\0-\x1f"'\\${};]+$/.test(text) ? resolve(text) : undefined),
  'a path without quotes, backslashes, control characters, $, ;, { or }',
);

const schema = z.strictObject({
  data: path.default(resolve('var')),
  storePaths: list((text) => (path.safeParse(text).success ? resolve(text) : undefined), 'a path as for data')
    .refine((paths) => paths.length >= 1 && paths.length <= 256, 'write 1 to 256 paths')
    .refine((paths) => new Set(paths).size === paths.length, 'a path stands there twice; write each once')
    .optional(),
  listen: value(parseAddress, 'host:port, such as 127.0.0.1:8080').default({ host: '127.0.0.1', port: 8080 }),
  daemonListen: value(parseAddress, 'host:port, such as 127.0.0.1:8081').default({ host: '127.0.0.1', port: 8081 }),
  group: value(
    // /info/ is an address of its own.
    (text) => (/^(?!info$)[A-Za-z0-9_-]{1,16}$/.test(text) ? text : undefined),
    '1 to 16 letters, digits, - or _ (but not "info")',
  ).default('group1'),
  serverId: value(integer(1, fileId.MAX_SERVER_ID), `a number from 1 to ${fileId.MAX_SERVER_ID}`).default(1),
  // The value itself stays out of the message.
  key: z
    .string({ error: 'write 16 to 256 visible ASCII characters in quotes' })
    .regex(/^[\x21-\x7e]{16,256}$/, 'write 16 to 256 visible ASCII characters')
    .optional(),
  publicUrl: value(
    (text) =>
      /^https?:\/\/[A-Za-z0-9.:[\]-]+(\/[A-Za-z0-9._~/-]*)?$/.test(text) ? text.replace(/\/+$/, '') : undefined,
    'a URL that begins with http:// or https://, such as https://files.example.com',
  ).optional(),
  uploads: oneOf('key', 'open').default('key'),
  activeTypes: oneOf('attachment', 'inline').default('attachment'),
  workers: value(
    (text) => (text === 'auto' ? text : integer(1, 1024)(text)),
    '"auto" or a number from 1 to 1024',
  ).default('auto'),
  metricsFrom: list(
    (text) => (isNetwork(text) ? text : undefined),
    'an address or a network, such as 10.0.0.0/8',
  ).default([]),
  maxFileSize: value(parseSize, SIZE_WORDS).default(10 * 2 ** 30),
  reserve: value((text): Reserve | undefined => {
    const share = /^(\d+(?:\.\d+)?) ?%$/.exec(text);
    if (share) return Number(share[1]) < 100 ? { share: Number(share[1]) / 100 } : undefined;
    const bytes = parseSize(text);
    return bytes === undefined ? undefined : { bytes };
  }, `a share such as 5%, or ${SIZE_WORDS}`).default({ share: 0.05 }),
  sync: oneOf('batch', 'file', 'off').default('batch'),
});

/** All settings, defaults filled in; see docs/settings.md. */
export type Settings = Omit<z.output<typeof schema>, 'storePaths'> & { storePaths: string[] };

/** The keys of the settings file. */
export const SETTING_NAMES: readonly string[] = Object.keys(schema.shape);

/**
 * The socket at which nginx reaches the daemon, which costs the daemon less than TCP (29 us a request, not 38); undefined where the data
 * directory's path is longer than a socket's may be (sun_path, unix(7)), and nginx uses `daemonListen`.
 */
export function daemonSocket({ data }: Pick<Settings, 'data'>): string | undefined {
  const path = resolve(data, 'daemon.sock');
  return Buffer.byteLength(path) <= 107 ? path : undefined;
}

/** `maxFileSize` is FIDFS_MAX_FILE_SIZE. */
export function environmentName(key: string): string {
  return `FIDFS_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
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
    // The parser's own words quote the text, which may hold the key.
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
      mistakes.push(`${name}: no such setting; there are ${[...variables.keys()].join(', ')}`);
    }
  }
  const parsed = schema.safeParse(merged);
  for (const issue of parsed.error?.issues ?? []) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        mistakes.push(`${key}: no such setting; there are ${SETTING_NAMES.join(', ')}`);
      }
    } else {
      const key = String(issue.path[0]);
      const name = environment[environmentName(key)] ? environmentName(key) : key;
      mistakes.push(`${name}: ${issue.message}`);
    }
  }
  if (!parsed.success || mistakes.length > 0) throw new SettingsError(mistakes.join('\n'));
  const settings = { ...parsed.data, storePaths: parsed.data.storePaths ?? [resolve(parsed.data.data, 'store0')] };
  if (settings.storePaths.some((storePath) => storePath === settings.data)) {
    throw new SettingsError('storePaths: a store path cannot be the data directory itself; write another directory');
  }
  return settings;
}
