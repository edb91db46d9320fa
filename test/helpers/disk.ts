import { closeSync, existsSync, openSync, readdirSync, readSync, writeSync } from 'node:fs';
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

/** Changes one byte of a file, as a disk that rots does. */
export function flipByte(path: string, offset: number): void {
  const file = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, offset);
  byte[0] = (byte[0] as number) ^ 1;
  writeSync(file, byte, 0, 1, offset);
  closeSync(file);
}
