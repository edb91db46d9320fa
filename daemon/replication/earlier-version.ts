import { constants, rmSync } from 'node:fs';
import { copyFile, open } from 'node:fs/promises';
import type { Index } from '../index/index.js';
import type { MissingFile } from '../index/missing.js';
import { filePath } from '../store/layout.js';
import type { StorePath } from '../store/store-path.js';

/** Smaller files are fetched whole, in bytes. */
const SMALLEST = 2 ** 18;

/**
 * Copies the bytes of an appender's version on this node, because an append leaves them as they are: of a longer version only the rest
 * must be fetched, and the digest of the whole tells whether it was an append. Resolves with false if there is no such version.
 */
export async function copyEarlier(
  { key, name, version, size }: MissingFile,
  temporary: string,
  { index, paths }: { index: Pick<Index, 'find'>; paths: readonly StorePath[] },
): Promise<boolean> {
  if (!version) return false;
  const record = index.find(key);
  if (!record || record.name !== name || record.size < SMALLEST || record.size >= size) return false;
  const path = paths[record.storePath];
  if (!path?.isOpen) return false;
  try {
    await copyFile(filePath(path.root, record.directory, name), temporary, constants.COPYFILE_FICLONE);
    const file = await open(temporary, 'r+');
    try {
      await file.truncate(record.size);
      // So that the sync of a batch has little to write.
      await file.datasync();
    } finally {
      await file.close();
    }
    return true;
  } catch {
    // For example because the disk is full: the download will say so.
    rmSync(temporary, { force: true });
    return false;
  }
}
