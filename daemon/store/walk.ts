import { type Dirent, readdirSync } from 'node:fs';
import fileId from '../../file-id/file-id.js';
import { isNotFound } from './errors.js';
import { dataDirectory, fileDirectory } from './layout.js';
import { decodeName, hasOwnKey, keyOf, type RecordKind } from './names.js';
import type { FileLocation } from './records.js';
import type { StorePath } from './store-path.js';

/** A regular file whose name is that of a valid ID, or a metadata file; or such a symbolic link. */
export interface FoundFile extends FileLocation {
  isLink: boolean;
  /**
   * Whether one of the given nodes made its ID, or that of the file that it is a slave or the metadata of. If not, the file is
   * foreign: only a request of a client deletes it, and nothing moves it.
   */
  ours: boolean;
}

/** The kinds of files that this program makes. */
const MADE_HERE: ReadonlySet<RecordKind> = new Set(['normal', 'appender', 'slave', 'metadata']);

/** Length of what follows the key, and the trunk part, in a normal or trunk name. */
const TAIL_LENGTH = 7;

/** The entries of a directory; none if it does not exist. */
export function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

/**
 * The files of one directory, empty if it does not exist. Skips everything but regular files with the name of an ID or of
 * metadata: FastDFS keeps other files there.
 * @param serverIds the nodes whose files are not foreign
 */
export function filesIn(path: StorePath, directory: number, serverIds: ReadonlySet<number>): FoundFile[] {
  return filesAndLinksIn(path, directory, serverIds).filter(({ isLink }) => !isLink);
}

/** As `filesIn`, with the symbolic links, which FastDFS makes. */
export function filesAndLinksIn(path: StorePath, directory: number, serverIds: ReadonlySet<number>): FoundFile[] {
  const found: FoundFile[] = [];
  for (const entry of entriesOf(fileDirectory(path.root, directory))) {
    const isLink = entry.isSymbolicLink();
    if (!isLink && !entry.isFile()) continue;
    try {
      const { kind, source } = decodeName(entry.name);
      const ours = MADE_HERE.has(kind) && 'serverId' in source && serverIds.has(source.serverId);
      found.push({ storePath: path.number, directory, name: entry.name, ours, isLink });
    } catch (error) {
      if (!fileId.isFileIdError(error)) throw error;
    }
  }
  return found;
}

/**
 * Other names in the directory of a file that have its key: FastDFS made a slave whose prefix is digits, or begins with a dot, so
 * that its name cannot be told from a normal one (`853.big` of `853.jpg`).
 */
export function namesWithKeyOf(
  { directory, name }: Pick<FileLocation, 'directory' | 'name'>,
  path: StorePath,
): string[] {
  if (!hasOwnKey(name)) return [];
  const key = keyOf(name);
  const isOther = (other: string) => other !== name && other.length === name.length && keyOf(other).equals(key);
  return entriesOf(fileDirectory(path.root, directory)).flatMap((entry) =>
    (entry.isFile() || entry.isSymbolicLink()) && isOther(entry.name) ? [entry.name] : [],
  );
}

/**
 * Whether a name surely contains size and CRC32 of its file: not that of a foreign file which may be a slave whose prefix begins with
 * a dot (`853._s`), decoded as normal.
 */
export function tellsContent({ ours, name }: Pick<FoundFile, 'ours' | 'name'>): boolean {
  const { size } = decodeName(name);
  return size !== null && (ours || /^\d*(\.[^_-]*)?$/.test(name.slice(-TAIL_LENGTH)));
}

/** The numbers of the existing directories of a store path, ascending. */
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
