import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSecretFile } from './secret-file.js';
import { faultOfSecret, type Settings, SettingsError } from './settings.js';

/** The upload key, and whether this call created it. */
export interface UploadKey {
  key: string;
  made: boolean;
}

/**
 * Reads the key from the settings or from `<data>/key`; undefined if there is none yet. Throws a SettingsError if the file
 * cannot be read or its key is not valid.
 */
export function readKey(settings: Pick<Settings, 'key' | 'data'>): string | undefined {
  if (settings.key !== undefined) return settings.key;
  const file = join(settings.data, 'key');
  let key: string;
  try {
    key = readFileSync(file, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new SettingsError(`cannot read the upload key in ${file}: ${(error as Error).message}`, { cause: error });
  }
  if (key === '') throw new SettingsError(`the key file ${file} is empty; delete it, and the next start makes a key`);
  const fault = faultOfSecret(key);
  if (fault !== undefined) throw new SettingsError(`the upload key in ${file} is not valid: ${fault}, in one line`);
  return key;
}

/** As `readKey`, but creates a missing key and writes it to `<data>/key` (mode 0600). The directory must exist. */
export function readOrMakeKey(settings: Pick<Settings, 'key' | 'data'>): UploadKey {
  const existing = readKey(settings);
  if (existing !== undefined) return { key: existing, made: false };
  const key = randomBytes(24).toString('base64url');
  writeSecretFile(join(settings.data, 'key'), `${key}\n`);
  return { key, made: true };
}
