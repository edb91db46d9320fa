import type { Settings } from '../daemon/config/settings.js';
import { quoted } from './quote.js';

/*
 * Where nginx finds the file of an ID.
 */

/** A regular expression for the numbers of the store paths in IDs. */
export function numbersOf({ storePaths }: Pick<Settings, 'storePaths'>): string {
  return storePaths.map((_, number) => (number + 0x100).toString(16).toUpperCase().slice(1)).join('|');
}

/** The path of the file that an address names; its location has set `$fidfs_file` and `$fidfs_m`. */
export function fileOf({ storePaths: [only = '', ...others] }: Pick<Settings, 'storePaths'>): string {
  // With one store path no map lookup is needed.
  return others.length === 0 ? quoted(`${only}/data/`, '$fidfs_file') : quoted('', '$fidfs_store/data/$fidfs_file');
}
