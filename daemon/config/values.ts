import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { z } from 'zod';
import { isQuotable, QUOTABLE_WORDS, refusedCharacter } from '../../nginx/quote.js';
import { characterIn } from '../words.js';

/*
 * The value types of settings: how each is parsed, and the message for an invalid one.
 */

/** A host and a port, as in `127.0.0.1:8080` or `[::1]:8080`. */
export interface Address {
  host: string;
  port: number;
}

/** How much of each store path stays free: a share of its size (0 to 1), or bytes. */
export type Reserve = { share: number } | { bytes: number };

const SECRET = /^[\x21-\x7e]{16,256}$/;

/** Whether a text is a valid secret. */
export function isSecret(text: string): boolean {
  return SECRET.test(text);
}

/** What a valid secret looks like, if this one is not valid; undefined if it is. Messages never contain the value. */
export function faultOfSecret(text: string): string | undefined {
  if (isSecret(text)) return undefined;
  const character = characterIn(text, /[^\x21-\x7e]/u);
  return `write 16 to 256 visible ASCII characters${character === undefined ? '' : `, and no ${character}`}`;
}

const UNITS: Record<string, number> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
export const SIZE_WORDS = 'a number of bytes, or a number with KiB, MiB, GiB or TiB, such as 10GiB';

/** Parses a size to bytes; undefined if it is invalid. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?(B|KiB|MiB|GiB|TiB)?$/.exec(text);
  const bytes = match ? Math.round(Number(match[1]) * (UNITS[match[2] ?? 'B'] as number)) : Number.NaN;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Parses `host:port`; undefined if it is invalid. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port < 1 || port > 65535 || (match[1] && isIP(match[1]) !== 6)) return undefined;
  return { host: (match[1] ?? match[2]) as string, port };
}

/** Formats an address as in URLs and in nginx's configuration. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether a text is an IP address or a network such as 10.0.0.0/8. */
export function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
}

/** Names the character that makes a value invalid; undefined if there is none. */
type RefusedCharacter = (text: string) => string | undefined;

/**
 * A schema for a value from the file (string or number) or the environment (string). `parse` returns undefined for an invalid
 * value; the message then names the character found by `refused` and says what is `allowed`.
 */
export function value<T>(
  parse: (text: string) => T | undefined,
  allowed: string,
  refused: RefusedCharacter = () => undefined,
) {
  return z.union([z.string(), z.number()], { error: `write ${allowed}` }).transform((given, context): T => {
    const text = String(given).trim();
    const parsed = parse(text);
    if (parsed !== undefined) return parsed;
    const character = refused(text);
    const why = character === undefined ? '' : ` because of ${character}`;
    context.addIssue({ code: 'custom', message: `${JSON.stringify(given)} is not allowed${why}; write ${allowed}` });
    return z.NEVER;
  });
}

/** A schema for one of these strings. */
export function oneOf<const T extends string>(...choices: T[]) {
  return value((text) => choices.find((choice) => choice === text), choices.map((c) => `"${c}"`).join(' or '));
}

/** A schema for true or false; in the environment as a string. */
export const flag = z.union([z.boolean(), z.string()], { error: 'write true or false' }).transform((given, context) => {
  const text = String(given).trim();
  if (text === 'true' || text === 'false') return text === 'true';
  context.addIssue({ code: 'custom', message: `${JSON.stringify(given)} is not allowed; write true or false` });
  return z.NEVER;
});

/** A schema for a list of values, or a string with commas between them; parameters as for `value`. */
export function list<T>(parse: (text: string) => T | undefined, allowed: string, refused?: RefusedCharacter) {
  const item = value(parse, allowed, refused);
  const commas = z.string().transform((text): unknown[] => text.split(',').filter((part) => part.trim() !== ''));
  const either = z.union([commas, z.array(z.unknown())], { error: `write ${allowed}; several in a list` });
  return either.pipe(z.array(item));
}

/** Creates a parser of integers from `minimum` to `maximum`; it returns undefined for others. */
export function integer(minimum: number, maximum: number) {
  return (text: string) => {
    const number = Number(text);
    return /^\d+$/.test(text) && number >= minimum && number <= maximum ? number : undefined;
  };
}

/** The character of a path that nginx's configuration cannot contain: in the given text, otherwise in the current directory. */
export function refusedInPath(text: string): string | undefined {
  const written = refusedCharacter(text);
  const whole = refusedCharacter(resolve(text));
  return written ?? (whole && `${whole} in ${resolve(text)}`);
}

/** A schema for a path. Paths are written into nginx's configuration. */
export const path = value(
  (text) => (text !== '' && isQuotable(resolve(text)) ? resolve(text) : undefined),
  `a path ${QUOTABLE_WORDS}`,
  refusedInPath,
);

const MILLISECONDS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
export const DURATION_WORDS = 'a number with ms, s, m, h or d, such as 10s';

/** What a Date can hold, in milliseconds. */
const LONGEST_SPAN = 8.64e15;

/** Parses a length of time, which may be 0, to milliseconds; undefined if it is invalid. */
export function parseSpan(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d)$/.exec(text);
  const milliseconds = match ? Math.round(Number(match[1]) * (MILLISECONDS[match[2] as string] as number)) : Number.NaN;
  return milliseconds <= LONGEST_SPAN ? milliseconds : undefined;
}

/** Parses a duration to milliseconds; undefined if it is invalid, or not in the range of Node's timers. */
export function parseDuration(text: string): number | undefined {
  const milliseconds = parseSpan(text) ?? 0;
  return milliseconds >= 1 && milliseconds < 2 ** 31 ? milliseconds : undefined;
}

/** Parses a rate, such as `100MiB/s`, to bytes per second. */
export function parseRate(text: string): number | undefined {
  const match = /^(.+)\/s$/.exec(text);
  return match ? parseSize(match[1] as string) || undefined : undefined;
}

/** Returns a valid group name: not the first part of another address, such as /info/. */
export function parseGroup(text: string): string | undefined {
  return /^(?!(?:info|tus|upload|console|metadata|picture)$)[A-Za-z0-9_-]{1,16}$/.test(text) ? text : undefined;
}

/** Parses a URL of scheme, host and port only; host and port are written into nginx's configuration unquoted. */
export function parseOrigin(text: string): string | undefined {
  const match = /^(https?:\/\/(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?)\/?$/.exec(text);
  return match && URL.canParse(match[1] as string) ? match[1] : undefined;
}

/** A schema for FastDFS's token key (`http.anti_steal.secret_key`), as it stands there. Messages never contain the value. */
export const tokenKey = z
  .string({ error: 'write 1 to 128 characters in quotes' })
  .trim()
  .regex(/^[^\u0000-\u001f\u007f]{1,128}$/, { error: 'write 1 to 128 characters, and no control characters' });

const ISO = /^(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/;

/**
 * Parses a date, which stands for its midnight in UTC, or a date and time with its offset (ISO 8601), to milliseconds since 1970.
 * Returns NaN for anything else.
 */
export function parseTime(text: string): number {
  const day = ISO.exec(text)?.[1];
  const midnight = Date.parse(day ?? '');
  // Date.parse takes 30 February for 2 March.
  const exists = !Number.isNaN(midnight) && new Date(midnight).toISOString().slice(0, 10) === day;
  return exists ? Date.parse(text) : Number.NaN;
}
