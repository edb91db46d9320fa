import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fileId from '../../file-id/file-id.js';
import { isNotFound } from './errors.js';
import { dataDirectory, fileDirectory } from './layout.js';
import { decodeName, isMetadata, keyOf } from './names.js';
import type { FileLocation, Records } from './records.js';
import { slotsOf } from './slots.js';
import type { StorePath } from './store-path.js';
import type { PackedFiles } from './trunk.js';

/*
 * Finds the files of a store path that have no record: those that FastDFS stored.
 */

/** Number of characters of a packed file's name without its tail; its slaves and metadata begin with them. */
const PACKED_STEM = 43;

export interface ForeignFile extends FileLocation {
  /** A file of its own, a symbolic link, or a slot of a trunk file. */
  form: 'plain' | 'symbolic' | 'packed';
}

/** What a directory holds without a record. */
export interface ForeignDirectory {
  files: ForeignFile[];
  /** Slots whose names are not known, as `data/00/00/000001 at 11264`. */
  unnamed: string[];
}

/** The names of packed files, which are not in the trunk files: from the binlogs of FastDFS, or a list. */
export class PackedNames {
  /** By store path << 16 | directory. */
  private readonly names = new Map<number, string[]>();

  /**
   * Adds the names in a text: IDs, or IDs without their group, one in each line; what stands before them is ignored, as time and
   * operation in a binlog.
   */
  add(text: string): void {
    for (const line of text.split('\n')) this.addId(line.slice(line.lastIndexOf(' ') + 1).trim());
  }

  private addId(text: string): void {
    const start = text.startsWith('M') ? 0 : text.indexOf('/M') + 1;
    try {
      const { storePath, directory, name, kind } = fileId.decode(`x/${text.slice(start)}`);
      if (kind !== 'trunk') return;
      const place = (storePath << 16) | directory;
      const names = this.names.get(place);
      if (names) names.push(name);
      else this.names.set(place, [name]);
    } catch (error) {
      if (!fileId.isFileIdError(error)) throw error;
    }
  }

  /** Reads the binlogs in the store paths, and further files. Throws the error of the file system for those. */
  read(paths: readonly StorePath[], files: readonly string[]): void {
    for (const path of paths) {
      const directory = join(dataDirectory(path.root), 'sync');
      const binlogs = entriesOf(directory).filter((entry) => entry.isFile() && /^binlog\.\d+$/.test(entry.name));
      for (const { name } of binlogs) this.add(readFileSync(join(directory, name), 'latin1'));
    }
    for (const file of files) this.add(readFileSync(file, 'latin1'));
  }

  in(storePath: number, directory: number): readonly string[] {
    return this.names.get((storePath << 16) | directory) ?? [];
  }
}

/** What the search for foreign files needs. */
export interface ForeignSearch {
  group: string;
  /** Server ids whose files are not foreign: an upload under way may have no record yet. */
  ids: ReadonlySet<number>;
  records: Pick<Records, 'find' | 'isDeleted' | 'reading'>;
  packed: Pick<PackedFiles, 'find'>;
  names: PackedNames;
}

/** The files of one directory without a record. Throws a StoreError or the error of the file system. */
export function foreignIn(path: StorePath, directory: number, search: ForeignSearch): ForeignDirectory {
  const { records, ids } = search;
  const isForeign = ({ name }: Dirent) => isForeignName(name, ids);
  const entries = entriesOf(fileDirectory(path.root, directory));
  const place = { storePath: path.number, directory };
  const plain = entries.filter((entry) => entry.isFile() && isForeign(entry)).map(({ name }) => name);
  const files: ForeignFile[] = [];
  records.reading(() => {
    for (const name of plain) {
      if (records.find(keyOf(name))?.name !== name) files.push({ ...place, name, form: 'plain' });
    }
    for (const { name } of entries.filter((entry) => entry.isSymbolicLink() && isForeign(entry)))
      files.push({ ...place, name, form: 'symbolic' });
  });
  const trunkFiles = entries.filter((entry) => entry.isFile() && /^\d{6,10}$/.test(entry.name));
  if (trunkFiles.length === 0) return { files, unnamed: [] };
  const packed = packedIn(path, directory, trunkFiles, plain, search);
  return { files: [...files, ...packed.files], unnamed: packed.unnamed };
}

function packedIn(
  path: StorePath,
  directory: number,
  trunkFiles: readonly Dirent[],
  plain: readonly string[],
  { group, records, packed, names }: ForeignSearch,
): ForeignDirectory {
  const place = { storePath: path.number, directory };
  const files: ForeignFile[] = [];
  const unnamed: string[] = [];
  const unpacked = new Set(plain);
  const known = new Map<string, string[]>();
  /** Adds what is known of a name: all of it, or its start. */
  const add = (start: string) => {
    const slot = slotOf(start);
    if (slot !== undefined) known.set(slot, [...(known.get(slot) ?? []), start]);
  };
  for (const name of new Set([...names.in(path.number, directory), ...plain])) add(name);
  const idOf = (name: string) => fileId.decode(fileId.join(group, path.number, directory, name));
  for (const { name: trunkFile } of trunkFiles) {
    for (const { offset, tail } of slotsOf(join(fileDirectory(path.root, directory), trunkFile))) {
      // Slaves and metadata of a packed file tell all of its name but the tail, which is in the slot.
      const starts = known.get(`${Number(trunkFile)}/${offset}`) ?? [];
      const candidates = new Set(starts.map((start) => start.slice(0, PACKED_STEM) + tail));
      const name = [...candidates].find((one) => unpacked.has(one) || packed.find(idOf(one)) !== undefined);
      if (name === undefined) unnamed.push(`data/${fileId.directories(directory)}/${trunkFile} at ${offset}`);
      else if (!unpacked.has(name) && !records.isDeleted(keyOf(name))) files.push({ ...place, name, form: 'packed' });
    }
  }
  return { files, unnamed };
}

/** Trunk file and offset in a name that begins with that of a packed file; undefined for another name. */
function slotOf(name: string): string | undefined {
  if (name.length <= PACKED_STEM) return undefined;
  try {
    const { trunk } = fileId.decodeName(`${name.slice(0, PACKED_STEM)}0000000`);
    return trunk ? `${trunk.file}/${trunk.offset}` : undefined;
  } catch (error) {
    if (!fileId.isFileIdError(error)) throw error;
    return undefined;
  }
}

function isForeignName(name: string, ids: ReadonlySet<number>): boolean {
  try {
    const { source } = decodeName(name);
    return !('serverId' in source && ids.has(source.serverId));
  } catch (error) {
    if (!fileId.isFileIdError(error)) throw error;
    return false;
  }
}

/** Number of files, without the metadata files, which are parts of others. */
export function countOf(files: readonly ForeignFile[]): number {
  return files.filter(({ name }) => !isMetadata(name)).length;
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}
