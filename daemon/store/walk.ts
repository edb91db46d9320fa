import { type Dirent, readdirSync } from 'node:fs';
import fileId from '../../file-id/file-id.js';
import { isNotFound } from './errors.js';
import { dataDirectory, fileDirectory } from './layout.js';
import type { FileLocation } from './records.js';
import type { StorePath } from './store-path.js';

/** A regular file whose name is well formed. */
export interface FoundFile extends FileLocation {
  /** Whether one of the given nodes minted it; if not it is foreign, and nobody but its owner may move it. */
  ours: boolean;
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

/** The files of one directory; `serverIds` are the nodes whose files are ours. What is not a regular file with an ID's name (FastDFS keeps more there) is left out. */
export function filesIn(path: StorePath, directory: number, serverIds: ReadonlySet<number>): FoundFile[] {
  const found: FoundFile[] = [];
  for (const entry of entriesOf(fileDirectory(path.root, directory))) {
    if (!entry.isFile()) continue;
    try {
      const { kind, source } = fileId.decodeName(entry.name);
      const ours = kind === 'normal' && 'serverId' in source && serverIds.has(source.serverId);
      found.push({ storePath: path.number, directory, name: entry.name, ours });
    } catch (error) {
      if (!fileId.isFileIdError(error)) throw error;
    }
  }
  return found;
}

/**
 * Whether a name tells size and CRC32 of its file. FastDFS takes a slave whose name is as long as a normal one for a normal
 * one; its tail gives it away.
 */
export function tellsContent({ ours, name }: FoundFile): boolean {
  const { size } = fileId.decodeName(name);
  return size !== null && (ours || /^\d*(\.[^_-]*)?$/.test(name.slice(27)));
}

/** The directories of a store path that exist, in order. */
export function* directoriesOf(path: StorePath): Generator<number> {
  const isDirectory = (entry: Dirent) => entry.isDirectory() && /^[0-9A-F]{2}$/.test(entry.name);
  const names = (directory: string) =>
    entriesOf(directory)
      .filter(isDirectory)
      .map((entry) => entry.name)
      .sort();
  for (const outer of names(dataDirectory(path.root))) {
    for (const inner of names(`${dataDirectory(path.root)}/${outer}`)) yield Number.parseInt(outer + inner, 16);
  }
}
