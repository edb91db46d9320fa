import { closeSync, existsSync, openSync, readdirSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** The paths of all files in data/ and tmp/ of a store path. */
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

/** The names of the temporary files of a store path. */
export function temporariesOn(storePath: string): string[] {
  return readdirSync(join(storePath, 'tmp'));
}

/** Flips one bit of a file, at a byte offset. */
export function flipByte(path: string, offset: number): void {
  const file = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, offset);
  byte[0] = (byte[0] as number) ^ 1;
  writeSync(file, byte, 0, 1, offset);
  closeSync(file);
}
