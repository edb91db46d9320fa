import fileId, { type FileId } from '../../file-id/file-id.js';
import type { Settings } from '../config/settings.js';
import { Additions } from './addition.js';
import { Appenders } from './appenders.js';
import { type Calls, realCalls } from './calls.js';
import { Deletions } from './deletion.js';
import { Duplicates } from './duplicates.js';
import { DurableWriter } from './durable-write.js';
import { StoreError } from './errors.js';
import { IncomingFile, type ReceivedFile } from './incoming-file.js';
import { storePathLabel } from './layout.js';
import { isOf, Lookup } from './lookup.js';
import { type MetadataChange, MetadataFiles } from './metadata-files.js';
import { Minter, type NewContent } from './minter.js';
import { decodeName, keyOf } from './names.js';
import { PublicNames } from './public-names.js';
import type { FileLocation, FileRecord, Records, RemovedFile, StoredFile } from './records.js';
import { Reservation } from './reservation.js';
import { fitsSpread, type MayTake, roomiest } from './room.js';
import { Slaves } from './slaves.js';
import type { StorePath } from './store-path.js';
import { PackedFiles } from './trunk.js';

export type StoreSettings = Pick<Settings, 'group' | 'serverId' | 'sync' | 'deduplicate'>;

/** Logs an error that is not part of an answer to a client. */
export type Warn = (message: string, error: unknown) => void;

/** What replication decides about the store. */
export interface StorePolicy {
  /** Whether peers copy each batch, so that fewer, larger batches are worth a longer window. */
  isReplicated(): boolean;
  /** Whether uploads may go to a store path now; called for each upload. */
  mayTake: MayTake;
  /**
   * Human-readable reason why no slaves and no metadata can be taken now: a node of the group does not understand their records.
   * Undefined if there is none.
   */
  refusesOthers?(): string | undefined;
  /** The server ids of the group, whose files are not foreign; by default that of this node. */
  ids?: ReadonlySet<number>;
}

/** The files of this node: receives them, assigns IDs, makes them durable, deletes them. */
export class Store {
  readonly writer: DurableWriter;
  readonly duplicates: Duplicates;
  readonly names: PublicNames;
  /** Changes of appenders. */
  readonly appenders: Appenders;
  /** Packed files of FastDFS. */
  readonly packed: PackedFiles;
  /** Uploads stored since the process started, for metrics. */
  readonly accepted = { files: 0, bytes: 0 };
  private readonly additions: Additions;
  private readonly slaves: Slaves;
  private readonly metadataFiles: MetadataFiles;
  private readonly lookup: Lookup;
  private readonly deletions: Deletions;
  private readonly mayTake: MayTake;
  private readonly refusesOthers: () => string | undefined;
  private readonly refreshTimer: NodeJS.Timeout;

  constructor(
    private readonly settings: StoreSettings,
    readonly paths: readonly StorePath[],
    private readonly records: Records,
    warn: Warn,
    { isReplicated, mayTake, refusesOthers = () => undefined, ids = new Set([settings.serverId]) }: StorePolicy = {
      isReplicated: () => false,
      mayTake: () => true,
    },
    calls: Calls = realCalls,
  ) {
    this.mayTake = mayTake;
    this.refusesOthers = refusesOthers;
    this.duplicates = new Duplicates(paths, records);
    const minter = new Minter(settings, paths, records);
    this.writer = new DurableWriter(paths, records, settings.sync, () => minter.frontier, warn, isReplicated, calls);
    const { deduplicate } = settings;
    const { duplicates, writer } = this;
    this.additions = new Additions({ deduplicate, paths, mayTake, minter, duplicates, writer });
    const isDeleted = (name: string) => records.isDeleted(keyOf(name));
    this.packed = new PackedFiles(settings.group, paths, isDeleted);
    this.lookup = new Lookup(settings.group, paths, records, this.packed);
    this.names = new PublicNames({ deduplicate, paths, duplicates, warn });
    const { lookup, names } = this;
    const isBeingDeleted = (file: FileLocation) => this.deletions.isEnding(file);
    const shared = { group: settings.group, paths, records, lookup, names, writer };
    this.slaves = new Slaves({ ...shared, deduplicate, duplicates, isBeingDeleted });
    this.metadataFiles = new MetadataFiles(shared);
    this.appenders = new Appenders({
      ...{ group: settings.group, syncs: settings.sync !== 'off', paths, records, names, minter, writer },
      receive: (announced, storePath) => this.receive(announced, undefined, storePath),
    });
    this.deletions = new Deletions(paths, records, this.lookup, this.packed, this.writer, ids);
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
   * @param storePath the number of the store path that the file must go to, for a slave; otherwise one is chosen
   */
  receive(announced: number | undefined, whole?: Reservation, storePath?: number): IncomingFile {
    const reserve = (bytes: number) => {
      if (storePath !== undefined) return this.reserveOn(storePath, bytes);
      return whole && whole.storePath.unavailable === undefined
        ? new Reservation(whole.storePath, bytes, whole)
        : this.reserve(bytes);
    };
    return new IncomingFile(reserve, announced, this.settings.sync !== 'off');
  }

  /**
   * Begins to receive a file of this many bytes that is already on this node, and must stay on this store path. Throws a StoreError
   * (full) if there is no space for it.
   */
  receiveOn(path: StorePath, size: number): IncomingFile {
    return new IncomingFile((bytes) => new Reservation(path, bytes), size, this.settings.sync !== 'off');
  }

  /**
   * Reserves space for this many bytes on one store path. Throws a StoreError (full or unavailable) if no store path has it.
   */
  reserve(bytes: number): Reservation {
    return new Reservation(this.choosePath(bytes), bytes);
  }

  private reserveOn(storePath: number, bytes: number): Reservation {
    const path = this.paths[storePath];
    return new Reservation(roomiest(path ? [path] : [], bytes, this.mayTake), bytes);
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

  /** Assigns IDs to received files and makes them durable, all or none; see `Additions.add`. */
  async add(received: readonly ReceivedFile[]): Promise<StoredFile[]> {
    return this.count(await this.additions.add(received));
  }

  /** Assigns another ID to a stored content; see `Additions.addName`. */
  async addName(content: NewContent, duplicate: FileLocation): Promise<StoredFile | undefined> {
    const stored = await this.additions.addName(content, duplicate);
    if (stored) this.count([stored]);
    return stored;
  }

  /** Stores a received file as a slave of another file; see `Slaves.add`. Receive it on the master's store path. */
  async addSlave(master: FileId, prefix: string, extension: string, received: ReceivedFile): Promise<StoredFile> {
    this.assertOthersAreTaken();
    const stored = await this.slaves.add(master, prefix, extension, received);
    this.count([stored]);
    return stored;
  }

  /** The metadata of a file, in FastDFS's form (see metadata.ts); undefined if it has none. */
  metadata(id: FileId): Buffer | undefined {
    return this.metadataFiles.read(id);
  }

  /** Changes the metadata of a file durably; see `MetadataFiles.change`. */
  async updateMetadata(id: FileId, change: MetadataChange): Promise<StoredFile> {
    this.assertOthersAreTaken();
    return this.metadataFiles.change(id, change);
  }

  /** Replaces the metadata of a file durably; empty metadata removes it. */
  setMetadata(id: FileId, bytes: Buffer): Promise<StoredFile> {
    return this.updateMetadata(id, () => bytes);
  }

  private assertOthersAreTaken(): void {
    const reason = this.refusesOthers();
    if (reason !== undefined) throw new StoreError('unavailable', reason);
  }

  /** Deletes a file durably; see `Deletions.remove`. */
  remove(id: FileId, held = false, keepsSlaves = true): Promise<RemovedFile | undefined> {
    return this.deletions.remove(id, held, keepsSlaves);
  }

  /** The record of the file with this ID; undefined if this node has none. */
  recordOf(id: FileId): FileRecord | undefined {
    const record = this.records.find(keyOf(id.name));
    return isOf(record, id) ? record : undefined;
  }

  /** Number of files without a record that were deleted since the start. */
  get deletedForeign(): number {
    return this.deletions.foreign;
  }

  /** Whether equal contents are stored once. */
  get deduplicates(): boolean {
    return this.settings.deduplicate;
  }

  /** Whether this node has the file; see `Lookup.holds`. */
  holds(id: FileId): 'record' | 'disk' | undefined {
    return this.lookup.holds(id);
  }

  /** Whether the file is missing on this node; see `Lookup.isMissing`. */
  isMissing(id: FileId): boolean {
    return this.lookup.isMissing(id);
  }

  /** Whether the file was deleted; see `Lookup.isDeleted`. */
  isDeleted(id: FileId): boolean {
    return this.lookup.isDeleted(id);
  }

  /**
   * Withdraws the record of a corrupt or lost file and marks the file as missing, to be fetched from a peer. Moves its bytes to
   * quarantine and resolves with their path; undefined if there is no file. Rejects with a StoreError.
   */
  async quarantine(record: FileRecord): Promise<string | undefined> {
    const path = this.paths[record.storePath] as StorePath;
    let kept: string | undefined;
    await this.writer.commit({
      write: () => {
        if (path.sizeOf(record.directory, record.name) !== undefined)
          kept = path.quarantine(record.directory, record.name);
        return [];
      },
      alongside: () => {
        if (this.records.isDeleted(record.key)) return;
        this.records.withdraw([record]);
        this.records.markMissing(record);
      },
    });
    return kept;
  }

  /** Records a complete file that is on the disk without a record. Rejects with a StoreError. */
  async record(file: FileRecord & { crc32: number }): Promise<void> {
    const { storePath, directory, name } = file;
    const { source, created } = decodeName(name);
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

  /** The store path for a file of this many bytes. Throws a StoreError (full or unavailable) if none can take it. */
  private choosePath(size: number): StorePath {
    return roomiest(this.paths, size, this.mayTake);
  }

  private count(files: StoredFile[]): StoredFile[] {
    this.accepted.files += files.length;
    for (const { size } of files) this.accepted.bytes += size;
    return files;
  }
}
