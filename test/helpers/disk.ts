import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Every file that a store path holds in data/ and tmp/, by its path. */
export function filesOn(storePath: string): string[] {
  const found: string[] = [];
  for (const directory of ['data', 'tmp']) {
    if (!existsSync(join(storePath, directory))) continue;
    for (const entry of readdirSync(join(storePath, directory), { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) found.push(join(entry.parentPath, entry.name));
    }
  }
  return found;
}

/** What uploads under way have left in tmp/. */
export function temporariesOn(storePath: string): string[] {
  return readdirSync(join(storePath, 'tmp'));
}
