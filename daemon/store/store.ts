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

/**
 * Directories are filled one after another with this many files each, so that files created together are in one directory.
 * FastDFS's default.
 */
const FILES_PER_DIRECTORY = 100;
const DIRECTORIES = 65536;

export type StoreSettings = Pick<Settings, 'group' | 'serverId' | 'sync' | 'deduplicate'>;

/** The properties of a file from which its ID and its record are made. */
type Content = Pick<ReceivedFile, 'size' | 'crc32' | 'sha256' | 'extension'>;

/** Duplicates of a large file, looked up before its batch. */
interface LargeDuplicate {
  /** Where this process wrote the content last. */
  last: FileLocation | undefined;
  /** A file that was read and checked. */
  location: FileLocation | undefined;
}

/** Logs an error that is not part of an answer to a client. */
export type Warn = (message: string, error: unknown) => void;

/** What replication decides about the store. */
export interface StorePolicy {
  /** Whether peers copy each batch, so that fewer, larger batches are worth a longer window. */
  isReplicated: boolean;
  /** Whether uploads may go to a store path now; called for each upload. */
  mayTake: MayTake;
}

/** The files of this node: receives them, assigns IDs, makes them durable, deletes them. */
export class Store {
  readonly writer: DurableWriter;
  readonly duplicates: Duplicates;
  /** Uploads stored since the process started, for metrics. */
  readonly accepted = { files: 0, bytes: 0 };
  private readonly identifiers: Identifiers;
  private directory: number;
  private filesInDirectory: number;
  private readonly removing = new Map<string, Promise<RemovedFile | undefined>>();
  private readonly mayTake: MayTake;
  private readonly refreshTimer: NodeJS.Timeout;

  constructor(
    private readonly settings: StoreSettings,
    readonly paths: readonly StorePath[],
    private readonly records: Records,
    warn: Warn,
    { isReplicated, mayTake }: StorePolicy = { isReplicated: false, mayTake: () => true },
    calls: Calls = realCalls,
  ) {
    this.mayTake = mayTake;
    this.duplicates = new Duplicates(paths, records);
    this.identifiers = new Identifiers(settings.serverId, records.lastSecond(settings.serverId));
    this.directory = records.checkpoint.directory;
    const open = paths.filter((path) => path.isOpen);
    this.filesInDirectory = Math.max(0, ...open.map((path) => countEntries(fileDirectory(path.root, this.directory))));
    const frontier = () => ({ second: this.identifiers.lastSecond, directory: this.directory });
    this.writer = new DurableWriter(paths, records, settings.sync, frontier, warn, isReplicated, calls);
    this.refreshTimer = setInterval(() => {
      for (const path of paths) path.refresh();
      this.writer.refresh();
      this.writer.removeLeftovers();
    }, 1000).unref();
  }

  /** Numbers of the store paths on which files and deletions can be made durable (`well`), and which of them are full. */
  get usable(): { well: number[]; full: number[] } {
    const { unavailable, isFull } = this.writer;
    const well = unavailable === undefined ? this.paths.filter((path) => path.unavailable === undefined) : [];
    const full = well.filter((path) => isFull || path.isFull);
    return { well: well.map(({ number }) => number), full: full.map(({ number }) => number) };
  }

  /** Human-readable reason why no upload can be stored now; undefined if uploads are possible. */
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

  /** Replaces the directories of store paths in a text by their labels (M00), for answers to clients. */
  withoutRoots(text: string): string {
    // The longest first: one root may be a prefix of another.
    const paths = [...this.paths].sort((one, other) => other.root.length - one.root.length);
    return paths.reduce((left, { root, number }) => left.replaceAll(root, storePathLabel(number)), text);
  }

  /**
   * Begins to receive a file. Throws a StoreError (full or unavailable) if there is no space for the announced size.
   * @param announced size in bytes, if known
   * @param whole the reservation of the request that the file is a part of
   */
  receive(announced: number | undefined, whole?: Reservation): IncomingFile {
    const reserve = (bytes: number) =>
      whole && whole.storePath.unavailable === undefined
        ? new Reservation(whole.storePath, bytes, whole)
        : this.reserve(bytes);
    return new IncomingFile(reserve, announced, this.settings.sync !== 'off');
  }

  /**
   * Reserves space for this many bytes on one store path. Throws a StoreError (full or unavailable) if no store path has it.
   */
  reserve(bytes: number): Reservation {
    return new Reservation(this.choosePath(bytes), bytes);
  }

  /**
   * Reserves space for all files of a request on one store path. Undefined if only several store paths together have enough: then
   * each file reserves its own space as it grows. Throws a StoreError (full or unavailable) if there is not enough in all.
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
   * Assigns IDs to received files and makes them durable, all or none. Rejects with a StoreError; then none of them is stored.
   */
  async add(received: readonly ReceivedFile[]): Promise<StoredFile[]> {
    const hasLarge = received.some(({ content }) => 'storePath' in content);
    const duplicates = hasLarge ? await Promise.all(received.map((file) => this.largeDuplicate(file))) : [];
    return this.count(
      await this.writer.commit({ write: () => this.writeAll(received, duplicates), undo: this.discardAll }),
    );
  }

  /**
   * Assigns another ID to a stored content, as a hard link to `duplicate`. Undefined if that file was deleted in the meantime or
   * takes no more links. Rejects with a StoreError.
   */
  async addName(content: Content, duplicate: FileLocation): Promise<StoredFile | undefined> {
    const write = () => {
      const stored = this.linkTo(content, duplicate);
      return stored ? [stored] : [];
    };
    const [stored] = this.count(await this.writer.commit({ write, undo: this.discardAll }));
    return stored;
  }

  /**
   * Deletes a file durably. Resolves with undefined if it is deleted already, or if neither this node nor a peer (`held`) has it.
   * Rejects with a StoreError if the deletion could not be made durable; it may still be completed later.
   * @param held whether a peer has a record of the file, or it is missing on this node; then it is deleted even if this node
   * never stored it
   */
  remove(id: FileId, held = false): Promise<RemovedFile | undefined> {
    const location = `${id.storePath}/${id.directory}/${id.name}`;
    // If two clients delete the same file at the same time, the second waits and gets undefined.
    const earlier = this.removing.get(location);
    if (earlier) return earlier.then(() => undefined);
    const removal = this.removeOnce(id, held).finally(() => this.removing.delete(location));
    this.removing.set(location, removal);
    return removal;
  }

  /** Whether this node has the file: with a record, or only on the disk, as foreign files. Undefined if it has not. */
  holds(id: FileId): 'record' | 'disk' | undefined {
    return this.holdsAs(id, this.records.find(fileId.keyOf(id.name)));
  }

  /** Whether the file is missing: this node should have it and fetches it from a peer. */
  isMissing(id: FileId): boolean {
    if (id.group !== this.settings.group || id.kind === 'trunk') return false;
    return isOf(this.records.findMissing(fileId.keyOf(id.name)), id);
  }

  /** Whether the file was deleted. Its ID is never used again. */
  isDeleted(id: FileId): boolean {
    return this.records.isDeleted(fileId.keyOf(id.name));
  }

  /**
   * Withdraws the record of a corrupt or lost file and marks the file as missing, to be fetched from a peer. Moves its bytes to
   * quarantine and resolves with their path; undefined if there is no file. Rejects with a StoreError.
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

  /** Records a complete file that is on the disk without a record. Rejects with a StoreError. */
  async record(file: FileLocation & { key: Buffer; size: number; crc32: number; sha256: Buffer }): Promise<void> {
    const { storePath, directory, name } = file;
    const { source, created } = fileId.decodeName(name);
    // A file that this node accepted goes into its replication log.
    const accepted = 'serverId' in source && source.serverId === this.settings.serverId;
    const id = fileId.join(this.settings.group, storePath, directory, name);
    await this.writer.commit({
      write: () =>
        this.records.find(file.key) || this.records.isDeleted(file.key) ? [] : [{ ...file, id, created, accepted }],
    });
  }

  /**
   * Waits for running commits, syncs, and writes a checkpoint that covers everything, so that the next startup checks nothing.
   */
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
    // Records are keyed by the 20 bytes alone: deleting this ID would delete a file with the same key at another location.
    const known = record ?? this.records.findMissing(key);
    if (known && !isOf(known, id)) return undefined;
    // If the disk is not mounted, the file would reappear with it, and a file without a record cannot be found.
    path.assertThere();
    if (here === undefined && !held) return undefined;
    const { storePath, directory, name } = id;
    // A deleted file that could not be unlinked yet has no record either, but is not foreign.
    const foreign = here !== 'record' && !held && !isDeleted;
    const removed = { key, storePath, directory, name, size: id.size ?? 0, foreign, accepted: true };
    await this.writer.commit({ removed: [removed] });
    return removed;
  }

  /** As `holds`, with the record of the key. */
  private holdsAs(id: FileId, record: FileRecord | undefined): 'record' | 'disk' | undefined {
    if (id.group !== this.settings.group || id.kind === 'trunk') return undefined;
    if (isOf(record, id)) return 'record';
    const path = this.paths[id.storePath];
    return path?.isOpen && path.sizeOf(id.directory, id.name) !== undefined ? 'disk' : undefined;
  }

  /** The store path for a file of this many bytes. Throws a StoreError (full or unavailable) if none can take it. */
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

  /** Looks up duplicates of a large file; reads them, so it runs before the batch. */
  private async largeDuplicate({ content, sha256 }: ReceivedFile): Promise<LargeDuplicate | undefined> {
    if (!this.settings.deduplicate || !('storePath' in content)) return undefined;
    return { last: this.duplicates.last(sha256), location: await this.duplicates.large({ sha256 }) };
  }

  /** Stores a file as a hard link to a duplicate. Undefined if there is none. */
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
    // A file written after the lookup needs no check: this process has just written these bytes.
    return [last === large?.last ? undefined : last, large?.location].filter((location) => location !== undefined);
  }

  private mint(file: Content, path: StorePath): StoredFile {
    const directory = this.nextDirectory();
    const { bytes, name, created } = this.identifiers.next(file.size, file.crc32, file.extension);
    const id = fileId.join(this.settings.group, path.number, directory, name);
    const { size, crc32, sha256 } = file;
    return { id, key: bytes, storePath: path.number, directory, name, size, crc32, sha256, created, accepted: true };
  }

  /**
   * Assigns an ID and writes the file under it. Tries another store path if the first is full or unavailable. Throws a
   * StoreError.
   */
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
        // If the path is healthy, the error concerns this file and would occur again.
        if (onDisk || (path.unavailable === undefined && !path.isFull)) throw error;
        continue;
      }
      file.reservation?.release();
      if (this.settings.deduplicate) this.duplicates.wrote(file.sha256, stored);
      return stored;
    }
    throw failure;
  }

  /** The store path of the file's reservation, or another one if that cannot be used. */
  private pathFor({ reservation, size }: ReceivedFile, isFirst: boolean): StorePath {
    const path = reservation?.storePath;
    if (isFirst && path && path.unavailable === undefined && this.mayTake(path.number)) return path;
    reservation?.release();
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

/** Whether a record is that of the file with this ID. A request may name the same file name with another location. */
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
