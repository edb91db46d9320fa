import { readdirSync, statSync } from 'node:fs';
import { isNotFound } from './errors.js';
import { dataDirectory, quarantineDirectory, tombstonesFile } from './layout.js';
import { readMarker } from './marker.js';

/**
 * Human-readable reason why a store path must not be removed from the settings: it holds files or tombstones, or cannot be
 * checked because it is not the expected one or not mounted. Undefined if it is empty. Throws the file system's error.
 */
export function whatIsOn(root: string, identity: string): string | undefined {
  try {
    if (readMarker(root) !== identity) return 'it is not there, so that it cannot be checked';
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
