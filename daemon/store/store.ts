import { readdirSync } from 'node:fs';
import fileId, { type FileId } from '../../file-id/file-id.js';
import type { Settings } from '../config/settings.js';
import { DurableWriter } from './durable-write.js';
import { isMissing, StoreError } from './errors.js';
import { Identifiers } from './identifiers.js';
import { IncomingFile, type ReceivedFile } from './incoming-file.js';
import { fileDirectory } from './layout.js';
import type { Records, StoredFile } from './records.js';
import type { StorePath } from './store-path.js';

/** Files made together lie together: so many in a directory, then the next one. As FastDFS's default. */
const FILES_PER_DIRECTORY = 100;
const DIRECTORIES = 65536;

export type StoreSettings = Pick<Settings, 'group' | 'serverId' | 'sync'>;

/** How a store says what is wrong without being the answer to anyone. */
export type Warn = (message: string, error: unknown) => void;

/** The files of this node: takes them in, gives them IDs, makes them durable, deletes them. */
export class Store {
  readonly writer: DurableWriter;
  private readonly identifiers: Identifiers;
  private directory: number;
  private filesInDirectory: number;
  private readonly removing = new Map<string, Promise<boolean>>();
  private readonly refreshTimer: NodeJS.Timeout;

  constructor(
    private readonly settings: StoreSettings,
    readonly paths: readonly StorePath[],
    private readonly records: Records,
    warn: Warn,
  ) {
    this.identifiers = new Identifiers(settings.serverId, records.lastSecond(settings.serverId));
    this.directory = records.checkpoint.directory;
    const open = paths.filter((path) => path.isOpen);
    this.filesInDirectory = Math.max(0, ...open.map((path) => countEntries(fileDirectory(path.root, this.directory))));
    const frontier = () => ({ second: this.identifiers.lastSecond, directory: this.directory });
    this.writer = new DurableWriter(paths, records, settings.sync, frontier, warn);
    this.refreshTimer = setInterval(() => paths.forEach((path) => void path.refresh()), 1000).unref();
  }

  /** Why no upload can be taken now, for people; undefined when they can. */
  get trouble(): string | undefined {
    if (this.writer.trouble) return this.writer.trouble;
    try {
      this.choosePath(0);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** Begins to take in a file. Throws a StoreError when a file of the announced size has no room. */
  receive(announced: number | undefined): IncomingFile {
    if (announced !== undefined) this.choosePath(announced);
    return new IncomingFile((size) => this.choosePath(size), announced, this.settings.sync !== 'off');
  }

  /**
   * Gives IDs to received files and makes them durable, all or none. When this resolves they survive a power cut.
   * Rejects with a StoreError, and then nothing of them is left.
   */
  add(received: readonly ReceivedFile[]): Promise<StoredFile[]> {
    return this.writer.commit(() => this.writeAll(received), []);
  }

  /**
   * Deletes a file durably. False when this node has no such file, or has it no more.
   * Rejects with a StoreError when that could not be made durable.
   */
  remove(id: FileId): Promise<boolean> {
    const place = `${id.storePath}/${id.directory}/${id.name}`;
    // Of two clients who delete the same file, the second learns that it is gone, once it is.
    const earlier = this.removing.get(place);
    if (earlier) return earlier.then(() => false);
    const removal = this.removeOnce(id).finally(() => this.removing.delete(place));
    this.removing.set(place, removal);
    return removal;
  }

  /** Waits for what is under way and leaves a checkpoint behind which nothing has to be looked at again. */
  async close(): Promise<void> {
    clearInterval(this.refreshTimer);
    await this.writer.settle();
  }

  private async removeOnce(id: FileId): Promise<boolean> {
    const path = this.paths[id.storePath];
    if (!path || id.group !== this.settings.group || id.kind === 'trunk') return false;
    const key = fileId.keyOf(id.name);
    const record = this.records.find(key);
    const isOurs = record?.name === id.name && record.directory === id.directory && record.storePath === id.storePath;
    if (!isOurs && path.sizeOf(id.directory, id.name) === undefined) return false;
    // On a disk that is not there now the file would stay, and come back with it.
    path.assertThere();
    const { storePath, directory, name } = id;
    await this.writer.commit(() => [], [{ key, storePath, directory, name, size: id.size ?? 0, foreign: !isOurs }]);
    return true;
  }

  /** The path with the most free space among those that can take so many bytes. */
  private choosePath(size: number): StorePath {
    let best: StorePath | undefined;
    for (const path of this.paths) {
      const { available } = path.space;
      if (
        path.trouble === undefined &&
        available >= size &&
        available > 0 &&
        available > (best?.space.available ?? 0)
      ) {
        best = path;
      }
    }
    if (best) return best;
    const troubles = this.paths.map((path) => `${path.root}: ${path.trouble ?? 'full'}`).join('; ');
    if (this.paths.every((path) => path.trouble !== undefined)) {
      throw new StoreError('unavailable', `no store path takes files: ${troubles}`);
    }
    throw new StoreError('full', `no store path has room for ${size} bytes above its reserve: ${troubles}`);
  }

  /** Writes all files, or none. */
  private writeAll(received: readonly ReceivedFile[]): StoredFile[] {
    const stored: StoredFile[] = [];
    try {
      for (const file of received) stored.push(this.write(file));
      return stored;
    } catch (error) {
      for (const file of stored) this.writer.discard(file);
      throw error;
    }
  }

  /** Mints an ID and writes the file under it, on another path when one turns out to be full or gone. */
  private write(file: ReceivedFile): StoredFile {
    let failure: unknown;
    for (let attempt = 0; attempt <= this.paths.length; attempt++) {
      const onDisk = 'storePath' in file.content ? file.content : undefined;
      const path = onDisk?.storePath ?? this.choosePath(file.size);
      const directory = this.nextDirectory();
      const { bytes, name, created } = this.identifiers.next(file.size, file.crc32, file.extension);
      try {
        if (onDisk) path.adopt(onDisk.path, directory, name);
        else path.create(directory, name, file.content as readonly Buffer[]);
      } catch (error) {
        failure = error;
        // A path that is well after a failure (an odd error of this one file) would fail again.
        if (onDisk || (path.trouble === undefined && path.space.available > 0)) throw error;
        continue;
      }
      return {
        id: fileId.join(this.settings.group, path.number, directory, name),
        key: bytes,
        storePath: path.number,
        directory,
        name,
        size: file.size,
        crc32: file.crc32,
        sha256: file.sha256,
        created,
      };
    }
    throw failure;
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

function countEntries(directory: string): number {
  try {
    return readdirSync(directory).length;
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  }
}
