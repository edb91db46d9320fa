import { constants, type Dirent } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';
import fileId from '../../file-id/file-id.js';
import { dataDirectory, fileDirectory } from './layout.js';
import { decodeName, isMetadata, keyOf } from './names.js';
import type { FileLocation, Records } from './records.js';
import { slotsOf } from './slots.js';
import type { StorePath } from './store-path.js';
import type { PackedFiles } from './trunk.js';
import { entriesOf } from './walk.js';

/*
 * Finds the files of a store path that have no record: those that FastDFS stored.
 */

/** Number of characters of a packed file's name without its tail; its slaves and metadata begin with them. */
const PACKED_STEM = 43;
/** Length of the shortest ID of a packed file without its group: `M00/00/00/`, the stem and a tail of one character. */
const SHORTEST_PACKED = 10 + PACKED_STEM + 1;
/** Bytes of a binlog that are read at a time. */
const CHUNK = 2 ** 18;
/** Bytes kept of a line whose end has not been read: more than an ID or a URL has. */
const LONGEST_LINE = 4096;
const NEWLINE = 0x0a;
const SPACE = 0x20;

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

/**
 * The names of packed files, which are not in the trunk files: from the binlogs of FastDFS, or a list. These are IDs, or IDs
 * without their group, separated by spaces and line breaks; other words are ignored. A line of a binlog is time, operation and
 * name (`1795821960 C M00/00/00/CkIA…`), followed by offset and length where bytes of an appender were changed, and by a second
 * name where a link (`L`, or `l` on the server that got a copy) or an appender's new name (`R`, `r`) was made. Binlogs end at
 * 1 GiB, and all but the last one are compressed (`binlog.000.gz`).
 */
export class PackedNames {
  /** By store path << 16 | directory. */
  private readonly names = new Map<number, string[]>();

  /** @param isWanted the names that are kept */
  constructor(private readonly isWanted: (name: string) => boolean = () => true) {}

  /**
   * Reads the binlogs in the store paths, and further files, with turns of the event loop in between. Rejects with the error of
   * the file system, or when the signal is aborted.
   */
  async read(paths: readonly StorePath[], files: readonly string[], signal: AbortSignal): Promise<void> {
    for (const path of paths) {
      const directory = join(dataDirectory(path.root), 'sync');
      const binlogs = entriesOf(directory).filter((entry) => entry.isFile() && /^binlog\.\d+(\.gz)?$/.test(entry.name));
      const names = new Set(binlogs.map(({ name }) => name));
      // While FastDFS compresses a binlog, both are there, and the compressed one is incomplete.
      const complete = [...names].filter((name) => !names.has(name.replace(/\.gz$/, '')) || !name.endsWith('.gz'));
      for (const name of complete) await this.readFile(join(directory, name), signal);
    }
    for (const file of files) await this.readFile(file, signal);
  }

  private async readFile(file: string, signal: AbortSignal): Promise<void> {
    let rest = Buffer.alloc(0);
    for await (const chunk of chunksOf(file, signal)) {
      const bytes = Buffer.concat([rest, chunk]);
      let start = 0;
      for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
        this.addLine(bytes, start, end);
        start = end + 1;
      }
      rest = bytes.subarray(Math.max(start, bytes.length - LONGEST_LINE));
    }
    this.addLine(rest, 0, rest.length);
  }

  private addLine(bytes: Buffer, start: number, end: number): void {
    if (end - start < SHORTEST_PACKED) return;
    const line = bytes.subarray(start, end);
    for (let word = 0; line.length - word >= SHORTEST_PACKED; ) {
      const space = line.indexOf(SPACE, word);
      const wordEnd = space < 0 ? line.length : space;
      if (wordEnd - word >= SHORTEST_PACKED) this.addId(line.toString('latin1', word, wordEnd).trim());
      word = wordEnd + 1;
    }
  }

  private addId(text: string): void {
    const start = text.startsWith('M') ? 0 : text.indexOf('/M') + 1;
    try {
      const { storePath, directory, name, kind } = fileId.decode(`x/${text.slice(start)}`);
      if (kind !== 'trunk' || !this.isWanted(name)) return;
      const place = (storePath << 16) | directory;
      const names = this.names.get(place);
      if (names) names.push(name);
      else this.names.set(place, [name]);
    } catch (error) {
      if (!fileId.isFileIdError(error)) throw error;
    }
  }

  in(storePath: number, directory: number): readonly string[] {
    return this.names.get((storePath << 16) | directory) ?? [];
  }
}

/**
 * The bytes of a regular file, which is compressed if its name ends in `.gz`. Rejects with the error of the file system or of zlib,
 * and if it is no regular file: a pipe or a device may have no end.
 */
async function* chunksOf(file: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  // Without O_NONBLOCK the opening of a named pipe waits for a writer.
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  if (!(await handle.stat()).isFile()) {
    await handle.close();
    throw new Error(`${file} is not a regular file`);
  }
  const source = handle.createReadStream({ highWaterMark: CHUNK, signal });
  if (!file.endsWith('.gz')) return yield* source;
  const unzip = createGunzip({ chunkSize: CHUNK });
  source.once('error', (error) => unzip.destroy(error));
  try {
    yield* source.pipe(unzip);
  } finally {
    source.destroy();
  }
}

/** What the search for foreign files needs. */
export interface ForeignSearch {
  group: string;
  /** Server ids whose files are not foreign: an upload under way may have no record yet. */
  ids: ReadonlySet<number>;
  records: Pick<Records, 'find' | 'isDeleted' | 'reading'>;
  packed: Pick<PackedFiles, 'find'>;
  /** Called for directories with trunk files. */
  names(): Promise<Pick<PackedNames, 'in'>>;
}

/** The files of one directory without a record. Rejects with a StoreError or the error of the file system. */
export async function foreignIn(path: StorePath, directory: number, search: ForeignSearch): Promise<ForeignDirectory> {
  const { records, ids } = search;
  const isForeign = ({ name }: Dirent) => isForeignName(name, ids);
  const entries = entriesOf(fileDirectory(path.root, directory));
  const place = { storePath: path.number, directory };
  const plain = entries.filter((entry) => entry.isFile() && isForeign(entry)).map(({ name }) => name);
  const files: ForeignFile[] = [];
  records.reading(() => {
    for (const name of plain) {
      const record = records.find(keyOf(name));
      const isHere = record?.storePath === path.number && record.directory === directory;
      if (record?.name !== name || !isHere) files.push({ ...place, name, form: 'plain' });
    }
    for (const { name } of entries.filter((entry) => entry.isSymbolicLink() && isForeign(entry)))
      files.push({ ...place, name, form: 'symbolic' });
  });
  const trunkFiles = entries.filter((entry) => entry.isFile() && /^\d{6,10}$/.test(entry.name));
  if (trunkFiles.length === 0) return { files, unnamed: [] };
  const packed = await packedIn(path, directory, trunkFiles, plain, search);
  return { files: [...files, ...packed.files], unnamed: packed.unnamed };
}

async function packedIn(
  path: StorePath,
  directory: number,
  trunkFiles: readonly Dirent[],
  plain: readonly string[],
  { group, records, packed, names }: ForeignSearch,
): Promise<ForeignDirectory> {
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
  for (const name of new Set([...(await names()).in(path.number, directory), ...plain])) add(name);
  const isOf = (name: string) =>
    unpacked.has(name) || packed.find(fileId.decode(fileId.join(group, path.number, directory, name))) !== undefined;
  for (const { name: trunkFile } of trunkFiles) {
    for await (const { offset, tail } of slotsOf(join(fileDirectory(path.root, directory), trunkFile))) {
      const candidates = candidatesFor(known.get(`${Number(trunkFile)}/${offset}`) ?? [], tail).filter(isOf);
      if (candidates.length === 0) unnamed.push(`data/${fileId.directories(directory)}/${trunkFile} at ${offset}`);
      for (const name of candidates)
        if (!unpacked.has(name) && !records.isDeleted(keyOf(name))) files.push({ ...place, name, form: 'packed' });
    }
  }
  return { files, unnamed };
}

/**
 * The names that a slot with this tail may have. Slaves and metadata of a packed file tell all of its name but the tail. A whole
 * name with another tail is that of a deleted file, whose place the slot has taken: with the same content in the same second it
 * differs in nothing else that is in the slot.
 */
function candidatesFor(starts: readonly string[], tail: string): string[] {
  const stemOf = (name: string) => name.slice(0, PACKED_STEM);
  const whole = starts.filter((name) => name.length === PACKED_STEM + tail.length);
  const stems = new Set(whole.map(stemOf));
  const others = starts.filter((name) => !stems.has(stemOf(name))).map((name) => stemOf(name) + tail);
  return [...new Set([...whole.filter((name) => name.endsWith(tail)), ...others])];
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
