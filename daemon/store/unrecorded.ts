import { lstatSync } from 'node:fs';
import { type Content, readContent } from './inspect.js';
import { filePath } from './layout.js';
import { foundVersion } from './names.js';
import type { FileLocation } from './records.js';
import type { StorePath } from './store-path.js';

/** A regular file on the disk that has no record, such as one of FastDFS before its adoption. */
export interface UnrecordedFile extends Content {
  sha256: Buffer;
  /** See `foundVersion`. */
  version: number | undefined;
  /** What `stateOf` returned before the file was read. */
  state: string;
}

/** Changes when a file is written or replaced; undefined if there is no regular file. Throws the error of the file system. */
function stateOf(path: string): { state: string; mtimeMs: number } | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false, bigint: true });
  if (!stat?.isFile()) return undefined;
  return { state: `${stat.ino} ${stat.size} ${stat.mtimeNs}`, mtimeMs: Number(stat.mtimeNs / 1000n) / 1000 };
}

/** Reads a file that has no record; undefined if there is no regular file. Rejects with the error of the file system. */
export async function readUnrecorded(
  { root }: StorePath,
  { directory, name }: FileLocation,
): Promise<UnrecordedFile | undefined> {
  const path = filePath(root, directory, name);
  const found = stateOf(path);
  if (!found) return undefined;
  const { size, crc32, sha256 } = await readContent(path, { sha256: true });
  const version = foundVersion(name, found.mtimeMs);
  return { size, crc32, sha256: sha256 as Buffer, version, state: found.state };
}

/** Whether the file on the disk is still the one that was read. */
export function isUnchanged(
  { root }: StorePath,
  { directory, name }: FileLocation,
  { state }: UnrecordedFile,
): boolean {
  return stateOf(filePath(root, directory, name))?.state === state;
}
