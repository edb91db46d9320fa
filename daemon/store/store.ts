import { readdirSync } from 'node:fs';
import fileId, { type FileId } from '../../file-id/file-id.js';
import type { Settings } from '../config/settings.js';
import { type Calls, realCalls } from './calls.js';
import { Duplicates } from './duplicates.js';
import { DurableWriter } from './durable-write.js';
import { isNotFound } from './errors.js';
import { Identifiers } from './identifiers.js';
import { IncomingFile, type ReceivedFile } from './incoming-file.js';
import { fileDirectory, storePathLabel } from './layout.js';
import type { FileLocation, FileRecord, Records, RemovedFile, StoredFile } from './records.js';
import { Reservation } from './reservation.js';
import { fitsSpread, type MayTake, roomiest } from './room.js';
import type { StorePath } from './store-path.js';

/** Files made together lie together: so many in a directory, then the next one. As FastDFS's default. */
const FILES_PER_DIRECTORY = 100;
const DIRECTORIES = 65536;

export type StoreSettings = Pick<Settings, 'group' | 'serverId' | 'sync' | 'deduplicate'>;

/** What an ID is made of, and its record. */
type Content = Pick<ReceivedFile, 'size' | 'crc32' | 'sha256' | 'extension'>;

/** What was known of a large file's content before its batch: the file written last, and one that was read and found right. */
interface LargeDuplicate {
  last: FileLocation | undefined;
  location: FileLocation | undefined;
}

/** How a store says what is wrong without being the answer to anyone. */
export type Warn = (message: string, error: unknown) => void;

/** The files of this node: takes them in, gives them IDs, makes them durable, deletes them. */
export class Store {
  readonly writer: DurableWriter;
  readonly duplicates: Duplicates;
  /** What was added since the start. */
  readonly accepted = { files: 0, bytes: 0 };
  private readonly identifiers: Identifiers;
  private directory: number;
  private filesInDirectory: number;
  private readonly removing = new Map<string, Promise<RemovedFile | undefined>>();
  private mayTake: MayTake = () => true;
  private readonly refreshTimer: NodeJS.Timeout;

  constructor(
    private readonly settings: StoreSettings,
    readonly paths: readonly StorePath[],
    private readonly records: Records,
    warn: Warn,
    calls: Calls = realCalls,
  ) {
    this.duplicates = new Duplicates(paths, records);
    this.identifiers = new Identifiers(settings.serverId, records.lastSecond(settings.serverId));
    this.directory = records.checkpoint.directory;
    const open = paths.filter((path) => path.isOpen);
    this.filesInDirectory = Math.max(0, ...open.map((path) => countEntries(fileDirectory(path.root, this.directory))));
    const frontier = () => ({ second: this.identifiers.lastSecond, directory: this.directory });
    this.writer = new DurableWriter(paths, records, settings.sync, frontier, warn, calls);
    this.refreshTimer = setInterval(() => {
      for (const path of paths) path.refresh();
      this.writer.lookAtRoom();
      this.writer.removeLeftovers();
    }, 1000).unref();
  }

  /** Lets uploads go only to the store paths for which this says true, each time. */
  restrictPaths(mayTake: MayTake): void {
    this.mayTake = mayTake;
  }

  /** The numbers of the store paths on which files, copies and deletions can be made durable; of those, which are full. */
  get usable(): { well: number[]; full: number[] } {
    const { unavailable, isFull } = this.writer;
    const well = unavailable === undefined ? this.paths.filter((path) => path.unavailable === undefined) : [];
    const full = well.filter((path) => isFull || path.isFull);
    return { well: well.map(({ number }) => number), full: full.map(({ number }) => number) };
  }

  /** Why no upload can be taken now, for people; undefined when they can. */
  get unavailable(): string | undefined {
    if (this.writer.unavailable) return this.writer.unavailable;
    if (this.writer.isFull) return `the disk of the data directory is full: ${this.records.directory}`;
    try {
      this.choosePath(0);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** A text without the directories of the store paths, which are called by their numbers: for clients. */
  withoutRoots(text: string): string {
    // The longest first: one may begin with another.
    const paths = [...this.paths].sort((one, other) => other.root.length - one.root.length);
    return paths.reduce((left, { root, number }) => left.replaceAll(root, storePathLabel(number)), text);
  }

  /**
   * Begins to take in a file. Throws a StoreError when a file of the announced size has no room.
   * @param whole the room of the request that it is a part of
   */
  receive(announced: number | undefined, whole?: Reservation): IncomingFile {
    const reserve = (bytes: number) =>
      whole && whole.storePath.unavailable === undefined
        ? new Reservation(whole.storePath, bytes, whole)
        : this.reserve(bytes);
    return new IncomingFile(reserve, announced, this.settings.sync !== 'off');
  }

  /** Keeps room for so many bytes that are to come. Throws a StoreError when no store path has so much. */
  reserve(bytes: number): Reservation {
    return new Reservation(this.choosePath(bytes), bytes);
  }

  /**
   * Keeps room for all files of a request. Undefined when only several store paths together can take them: then each gets
   * its own, as it grows. Throws a StoreError when not even those can.
   */
  reserveWhole(bytes: number): Reservation | undefined {
    try {
      return this.reserve(bytes);
    } catch (error) {
      if (this.paths.length > 1 && fitsSpread(this.paths, bytes, this.mayTake)) return undefined;
      throw error;
    }
  }

  /**
   * Gives IDs to received files and makes them durable, all or none. When this resolves they survive a power cut.
   * Rejects with a StoreError, and then nothing of them is left.
   */
  async add(received: readonly ReceivedFile[]): Promise<StoredFile[]> {
    const hasLarge = received.some(({ content }) => 'storePath' in content);
    const duplicates = hasLarge ? await Promise.all(received.map((file) => this.largeDuplicate(file))) : [];
    return this.count(
      await this.writer.commit({ write: () => this.writeAll(received, duplicates), undo: this.discardAll }),
    );
  }

  /** Gives an ID to a content that is here, as one more name of the file that has it. Undefined when that has gone. */
  async addName(content: Content, duplicate: FileLocation): Promise<StoredFile | undefined> {
    const write = () => {
      const stored = this.linkTo(content, duplicate);
      return stored ? [stored] : [];
    };
    const [stored] = this.count(await this.writer.commit({ write, undo: this.discardAll }));
    return stored;
  }

  /**
   * Deletes a file durably. Undefined when this node has no such file, or has it no more, and no peer is said to have it.
   * Rejects with a StoreError when that could not be made durable.
   * @param held whether a peer has a record of the file, or it is missing here; then it is deleted here even where it never came to be
   */
  remove(id: FileId, held = false): Promise<RemovedFile | undefined> {
    const location = `${id.storePath}/${id.directory}/${id.name}`;
    // Of two clients who delete the same file, the second learns that it is gone, once it is.
    const earlier = this.removing.get(location);
    if (earlier) return earlier.then(() => undefined);
    const removal = this.removeOnce(id, held).finally(() => this.removing.delete(location));
    this.removing.set(location, removal);
    return removal;
  }

  /** Whether the file is here: with a record, or only on the disk, as foreign ones are. */
  holds(id: FileId): 'record' | 'disk' | undefined {
    return this.holdsAs(id, this.records.find(fileId.keyOf(id.name)));
  }

  /** Whether the file should be here, and is to be fetched from whoever has it. */
  isMissing(id: FileId): boolean {
    if (id.group !== this.settings.group || id.kind === 'trunk') return false;
    return isOf(this.records.findMissing(fileId.keyOf(id.name)), id);
  }

  /** Whether the file was deleted: it will never be here again. */
  isDeleted(id: FileId): boolean {
    return this.records.isDeleted(fileId.keyOf(id.name));
  }

  /**
   * Takes a file that is not what it should be, or not there, out of the records, to be fetched from a peer; its bytes, if
   * there are any, are kept in quarantine. Returns where, or undefined.
   */
  async quarantine(record: FileRecord): Promise<string | undefined> {
    const path = this.paths[record.storePath] as StorePath;
    const { size } = fileId.decodeName(record.name);
    const id = fileId.join(this.settings.group, record.storePath, record.directory, record.name);
    let kept: string | undefined;
    await this.writer.commit({
      write: () => {
        if (path.sizeOf(record.directory, record.name) !== undefined)
          kept = path.quarantine(record.directory, record.name);
        return [];
      },
      alongside: () => {
        if (this.records.isDeleted(record.key)) return;
        this.records.withdraw([{ ...record, id, size: size ?? 0, crc32: 0, created: 0, accepted: false }]);
        this.records.markMissing(record);
      },
    });
    return kept;
  }

  /** Takes a whole file that is on the disk, but has no record, into the records. */
  async record(file: FileLocation & { key: Buffer; size: number; crc32: number; sha256: Buffer }): Promise<void> {
    const { storePath, directory, name } = file;
    const { source, created } = fileId.decodeName(name);
    // What this node itself accepted is news to its peers.
    const accepted = 'serverId' in source && source.serverId === this.settings.serverId;
    const id = fileId.join(this.settings.group, storePath, directory, name);
    await this.writer.commit({
      write: () =>
        this.records.find(file.key) || this.records.isDeleted(file.key) ? [] : [{ ...file, id, created, accepted }],
    });
  }

  /** Waits for what is under way and leaves a checkpoint behind which nothing has to be looked at again. */
  async close(): Promise<void> {
    clearInterval(this.refreshTimer);
    await this.writer.settle();
  }

  private async removeOnce(id: FileId, held: boolean): Promise<RemovedFile | undefined> {
    const path = this.paths[id.storePath];
    const key = fileId.keyOf(id.name);
    const record = this.records.find(key);
    const here = this.holdsAs(id, record);
    const isDeleted = here !== 'record' && this.records.isDeleted(key);
    if (!path || (here === undefined && isDeleted)) return undefined;
    // Records go by the key: the deletion of this ID would be that of the file which has the key elsewhere.
    const known = record ?? this.records.findMissing(key);
    if (known && !isOf(known, id)) return undefined;
    // On a disk that is not there now the file would stay, and come back with it; and what has no record may be there.
    path.assertThere();
    if (here === undefined && !held) return undefined;
    const { storePath, directory, name } = id;
    // What was deleted, but could not be removed yet, has no record either.
    const foreign = here !== 'record' && !held && !isDeleted;
    const removed = { key, storePath, directory, name, size: id.size ?? 0, foreign, accepted: true };
    await this.writer.commit({ removed: [removed] });
    return removed;
  }

  /** As `holds`, for who has looked up the record of the key. */
  private holdsAs(id: FileId, record: FileRecord | undefined): 'record' | 'disk' | undefined {
    if (id.group !== this.settings.group || id.kind === 'trunk') return undefined;
    if (isOf(record, id)) return 'record';
    const path = this.paths[id.storePath];
    return path?.isOpen && path.sizeOf(id.directory, id.name) !== undefined ? 'disk' : undefined;
  }

  /** The path for a file of so many bytes. Throws a StoreError when none can take it. */
  private choosePath(size: number): StorePath {
    return roomiest(this.paths, size, this.mayTake);
  }

  private count(files: StoredFile[]): StoredFile[] {
    this.accepted.files += files.length;
    for (const { size } of files) this.accepted.bytes += size;
    return files;
  }

  private readonly discardAll = (added: readonly StoredFile[]): void => {
    for (const file of added) this.writer.discard(file);
  };

  /** Writes all files, or none. */
  private writeAll(
    received: readonly ReceivedFile[],
    duplicates: readonly (LargeDuplicate | undefined)[],
  ): StoredFile[] {
    const stored: StoredFile[] = [];
    try {
      for (const [number, file] of received.entries())
        stored.push(this.link(file, duplicates[number]) ?? this.write(file));
      return stored;
    } catch (error) {
      this.discardAll(stored);
      throw error;
    }
  }

  /** A file with the content of one that is on the disk already. */
  private async largeDuplicate({ content, sha256 }: ReceivedFile): Promise<LargeDuplicate | undefined> {
    if (!this.settings.deduplicate || !('storePath' in content)) return undefined;
    return { last: this.duplicates.last(sha256), location: await this.duplicates.large({ sha256 }) };
  }

  /** Mints an ID for a content that is here already: one more name of the file that has it. */
  private link(file: ReceivedFile, large: LargeDuplicate | undefined): StoredFile | undefined {
    if (!this.settings.deduplicate) return undefined;
    const { content, sha256, size } = file;
    for (const duplicate of 'storePath' in content
      ? this.largeDuplicates(sha256, large)
      : this.duplicates.small({ sha256, size, content })) {
      const stored = this.linkTo(file, duplicate);
      if (stored) return stored;
    }
    return undefined;
  }

  private linkTo(content: Content, duplicate: FileLocation): StoredFile | undefined {
    const path = this.paths[duplicate.storePath];
    if (!path?.isOpen || path.unavailable !== undefined || !this.mayTake(path.number) || path.isFull) return undefined;
    const stored = this.mint(content, path);
    return path.link(duplicate, stored.directory, stored.name) ? { ...stored, linked: true } : undefined;
  }

  private largeDuplicates(sha256: Buffer, large: LargeDuplicate | undefined): FileLocation[] {
    const last = this.duplicates.last(sha256);
    // Written since the look at the disk, by this process, and so what arrived.
    return [last === large?.last ? undefined : last, large?.location].filter((location) => location !== undefined);
  }

  private mint(file: Content, path: StorePath): StoredFile {
    const directory = this.nextDirectory();
    const { bytes, name, created } = this.identifiers.next(file.size, file.crc32, file.extension);
    const id = fileId.join(this.settings.group, path.number, directory, name);
    const { size, crc32, sha256 } = file;
    return { id, key: bytes, storePath: path.number, directory, name, size, crc32, sha256, created, accepted: true };
  }

  /** Mints an ID and writes the file under it, on another path when one turns out to be full or gone. */
  private write(file: ReceivedFile): StoredFile {
    let failure: unknown;
    for (let attempt = 0; attempt <= this.paths.length; attempt++) {
      const onDisk = 'storePath' in file.content ? file.content : undefined;
      const path = onDisk?.storePath ?? this.pathFor(file, attempt === 0);
      const stored = this.mint(file, path);
      const { directory, name } = stored;
      try {
        if (onDisk) path.adopt(onDisk.path, directory, name);
        else path.create(directory, name, file.content as readonly Buffer[], () => this.writer.discard(stored));
      } catch (error) {
        failure = error;
        // A path that is well after a failure (an odd error of this one file) would fail again.
        if (onDisk || (path.unavailable === undefined && !path.isFull)) throw error;
        continue;
      }
      file.room?.release();
      if (this.settings.deduplicate) this.duplicates.wrote(file.sha256, stored);
      return stored;
    }
    throw failure;
  }

  /** Where a file has room, or, where that is of no use, somewhere else. */
  private pathFor({ room, size }: ReceivedFile, isFirst: boolean): StorePath {
    const path = room?.storePath;
    if (isFirst && path && path.unavailable === undefined && this.mayTake(path.number)) return path;
    room?.release();
    return this.choosePath(size);
  }

  private nextDirectory(): number {
    if (this.filesInDirectory >= FILES_PER_DIRECTORY) {
      this.directory = (this.directory + 1) % DIRECTORIES;
      this.filesInDirectory = 0;
    }
    this.filesInDirectory++;
    return this.directory;
  }
}

/** Whether a record is that of the file with this ID: the same name may be asked for at another location. */
function isOf(record: FileLocation | undefined, { storePath, directory, name }: FileId): boolean {
  return record?.name === name && record.directory === directory && record.storePath === storePath;
}

function countEntries(directory: string): number {
  try {
    return readdirSync(directory).length;
  } catch (error) {
    if (isNotFound(error)) return 0;
    throw error;
  }
}
