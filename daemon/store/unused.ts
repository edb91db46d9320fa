import { readdirSync, statSync } from 'node:fs';
import { isNotFound } from './errors.js';
import { dataDirectory, quarantineDirectory, tombstonesFile } from './layout.js';
import { readMarker } from './marker.js';

/**
 * What keeps a store path from being taken out of use for good: undefined when it is there, is the one that is meant, and
 * holds neither files nor deletions. What cannot be looked at may hold something.
 */
export function whatIsOn(root: string, identity: string): string | undefined {
  try {
    if (readMarker(root) !== identity) return 'it is not there, so nobody knows what it holds';
    for (const directory of [dataDirectory(root), quarantineDirectory(root)]) {
      const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
      if (entries.some((entry) => !entry.isDirectory())) return 'it holds files';
    }
    return statSync(tombstonesFile(root)).size > 0 ? 'it holds deletions' : undefined;
  } catch (error) {
    if (isNotFound(error)) return 'a part of it is missing';
    throw error;
  }
}
