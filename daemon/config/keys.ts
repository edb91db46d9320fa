import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeSecretFile } from './secret-file.js';
import { faultOfSecret, SettingsError } from './settings.js';
import { parseGroup } from './values.js';

/*
 * The named keys beside `key`: the file <data>/keys.json, which the command writes and the daemon reads. A key is stored as its
 * SHA-256, so the file does not reveal it. A key that signs upload tokens is stored itself, too, because HMAC needs the secret.
 */

/** What a key may permit; `admin` includes all others. */
export const RIGHTS = ['upload', 'delete', 'list', 'sign', 'admin'] as const;

export type Right = (typeof RIGHTS)[number];

/** The name of the key in the settings, which has all rights. No other key can have it. */
export const MAIN_KEY = 'key';

export const NAME_WORDS = '1 to 64 of A-Z a-z 0-9 . _ -';

/** Whether a key may have this name. */
export function isKeyName(name: string): boolean {
  return /^[\w.-]{1,64}$/.test(name) && name !== MAIN_KEY;
}

const entrySchema = z.strictObject({
  /** Distinguishes keys of one name, of which there are two while a key is changed. */
  id: z.string().regex(/^[0-9a-f]{8}$/),
  name: z.string().refine(isKeyName),
  rights: z.array(z.enum(RIGHTS)).min(1),
  /** The groups whose files the key is for; all if absent. */
  groups: z
    .array(z.string().refine((group) => parseGroup(group) !== undefined))
    .min(1)
    .optional(),
  /** Largest file in bytes. */
  maxFileSize: z.number().int().nonnegative().optional(),
  expires: z.iso.datetime().optional(),
  created: z.iso.datetime(),
  /** In hex, of the key as text. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** The key itself; only with the right `sign`. */
  secret: z
    .string()
    .refine((text) => faultOfSecret(text) === undefined)
    .optional(),
});

const fileSchema = z
  .strictObject({ keys: z.array(entrySchema).max(10_000) })
  .refine(({ keys }) => new Set(keys.map(({ id }) => id)).size === keys.length, 'an id is given twice');

/** One named key. */
export type KeyEntry = z.output<typeof entrySchema>;

/** What the user of the command decides about a new key; `expires` is a time in the future. */
export interface NewKey {
  name: string;
  rights: readonly Right[];
  groups: readonly string[] | undefined;
  maxFileSize: number | undefined;
  expires: Date | undefined;
}

/** Path of the file of named keys. */
export function keysFile(data: string): string {
  return join(data, 'keys.json');
}

/** The SHA-256 of a key in hex, as in the file. */
export function digestOfKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** Reads the named keys; none if there is no file. Throws a SettingsError, which never contains a part of the file. */
export function readKeys(data: string): KeyEntry[] {
  const file = keysFile(data);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new SettingsError(`cannot read the keys in ${file}: ${(error as Error).message}`, { cause: error });
  }
  const parsed = fileSchema.safeParse(parseJson(text));
  if (parsed.success) return parsed.data.keys;
  const [issue] = parsed.error.issues;
  const where = issue && issue.path.length > 0 ? ` at ${issue.path.join('.')}` : '';
  throw new SettingsError(
    `the file of the named keys ${file} is not valid${where}; put back a good copy of it, or delete it and make new keys ("fidfs keys add")`,
  );
}

/** Undefined for a text that is not JSON: the message of the parser would quote it. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Creates a key and adds it to the file. Returns its entry, and the key itself, which is stored nowhere else. */
export function addKey(
  data: string,
  { name, rights, groups, maxFileSize, expires }: NewKey,
): KeyEntry & { key: string } {
  const key = randomBytes(24).toString('base64url');
  const entry: KeyEntry = {
    id: randomBytes(4).toString('hex'),
    name,
    rights: RIGHTS.filter((right) => rights.includes(right)),
    ...(groups ? { groups: [...groups] } : {}),
    ...(maxFileSize === undefined ? {} : { maxFileSize }),
    ...(expires ? { expires: expires.toISOString() } : {}),
    created: new Date().toISOString(),
    sha256: digestOfKey(key),
    ...(rights.includes('sign') ? { secret: key } : {}),
  };
  writeKeys(data, [...readKeys(data), entry]);
  return { ...entry, key };
}

/** Replaces the file. */
export function writeKeys(data: string, keys: readonly KeyEntry[]): void {
  writeSecretFile(keysFile(data), `${JSON.stringify({ keys }, null, 2)}\n`);
}
