import { isDeepStrictEqual } from 'node:util';
import { SETTING_NAMES, type Settings } from './settings.js';

/** The settings that a running node takes up, by `fidfs reload`; docs/settings.md names the same. */
export const RELOADABLE: readonly (keyof Settings)[] = [
  'activeTypes',
  'charset',
  'gzip',
  'workers',
  'metricsFrom',
  'peers',
  'copies',
  'copyTimeout',
  'maxLag',
  'repairInterval',
  'repairRate',
  'scrubDays',
  'alertUrl',
];

/** A reload is refused: the settings are wrong, or need a restart. Nothing of them was taken. The message is for the user. */
export class ReloadRefused extends Error {
  override name = 'ReloadRefused';
}

/**
 * The names of the settings that differ. Throws ReloadRefused, with all their names, if some need a restart.
 * @param key the key in use, which may have been in the data directory until now
 */
export function changesOf(before: Settings, after: Settings, key: string): (keyof Settings)[] {
  const changed = (SETTING_NAMES as (keyof Settings)[]).filter((name) => !isDeepStrictEqual(before[name], after[name]));
  const isRefused = (name: keyof Settings) => {
    // A node that gets its first peer needs both in its settings.
    if (name === 'key') return before.key !== undefined || after.key !== key;
    if (name === 'peerSecret') return before.peerSecret !== undefined;
    return !RELOADABLE.includes(name);
  };
  const refused = changed.filter(isRefused);
  if (refused.length === 0) return changed;
  const verb = refused.length === 1 ? 'needs' : 'need';
  throw new ReloadRefused(`a change of ${refused.join(', ')} ${verb} a restart; nothing was taken`);
}
