import { randomUUID } from 'node:crypto';
import fileId from '../../file-id/file-id.js';
import type { Duplicates } from './duplicates.js';
import type { DurableWriter } from './durable-write.js';
import { StoreError } from './errors.js';
import { FILE_TIME, filePath } from './layout.js';
import { decodeName } from './names.js';
import type { PublicNames, UnnamedFile } from './public-names.js';
import { type FileRecord, type Records, type RemovedFile, type StoredFile, supersedes } from './records.js';
import { isDeletedFile } from './recover-file.js';
import type { Store, StoreSettings } from './store.js';
import type { StorePath } from './store-path.js';
import { isUnchanged, readUnrecorded, type UnrecordedFile } from './unrecorded.js';

/** A file of a peer, verified against its ID and SHA-256, to be stored on this node at the same location. */
export interface Copy extends FileRecord {
  /**
   * The bytes, or the path of a temporary file on the copy's store path that holds them; `linked` if that is a hard link to
   * another file of this node. Undefined if a file of this node should have the same content.
   */
  content: Uint8Array | { temporary: string; linked: boolean } | undefined;
}

/** Copies and deletions of peers that are committed together. */
export interface Takeover {
  copies: readonly Copy[];
  /** Files that peers deleted. */
  removed?: readonly RemovedFile[];
  /** Makes further changes to the index in the same transaction; gets the copies that could not be made. */
  alongside?(failed: readonly FailedCopy[]): void;
}

export interface FailedCopy {
  copy: Copy;
  /** Human-readable. */
  reason: string;
}

/** State of the copies of one `take`. */
interface Making {
  files: Map<Copy, UnnamedFile>;
  /** Files on the disk without a record under the names of copies, or why they could not be read. */
  unrecorded: Map<Copy, UnrecordedFile | { reason: string }>;
  /** Files without a record that are kept, and recorded, instead of their copies. */
  kept: StoredFile[];
  /** Copies that replace a different file of the same version, of which neither is the later one. */
  conflicting: Set<Copy>;
  /** Copies that another change of the same batch makes, too. */
  duplicates: Copy[];
  /** Copies that could not be written. */
  failed: FailedCopy[];
  /** Copies whose temporary file could not be renamed; set in the finish phase. */
  unnamed?: FailedCopy[];
}

/** Stores files of peers under the same IDs, which are public already (see `PublicNames`). */
export class Copies {
  private readonly group: string;
  private readonly names: PublicNames;
  private readonly paths: readonly StorePath[];
  private readonly writer: DurableWriter;
  private readonly duplicates: Duplicates;

  constructor(
    { group }: Pick<StoreSettings, 'group'>,
    { paths, writer, duplicates, names }: Pick<Store, 'paths' | 'writer' | 'duplicates' | 'names'>,
    private readonly records: Records,
  ) {
    this.group = group;
    this.names = names;
    this.paths = paths;
    this.writer = writer;
    this.duplicates = duplicates;
  }

  /**
   * Makes copies and deletions durable. Copies that cannot be made are passed to `alongside`, those that could not be renamed
   * in a second call; the other copies are not affected. Skips files deleted in the meantime. A file on the disk without a record
   * (of FastDFS, before its adoption) is compared as a recorded one, and is recorded if the copy does not supersede it. Rejects
   * with a StoreError if nothing was recorded; all of it may be retried then.
   */
  async take({ copies, removed = [], alongside }: Takeover): Promise<void> {
    const making: Making = {
      ...{ files: new Map(), kept: [], conflicting: new Set(), duplicates: [], failed: [] },
      unrecorded: await this.findUnrecorded(copies),
    };
    const leave = () => {
      for (const file of making.kept) this.names.leave(file);
    };
    try {
      await this.writer.commit({
        write: () => this.write(copies, making),
        undo: () => {
          leave();
          this.names.remove([...making.files.values()]);
        },
        removed: removed.filter((file) => this.isRemovable(file)),
        alongside: () => alongside?.(making.failed),
        finish: () => {
          leave();
          this.publish(making);
        },
      });
      const { unnamed } = making;
      if (unnamed) await this.writer.commit({ alongside: () => this.withdraw(unnamed, making, alongside) });
    } finally {
      for (const { content, storePath } of copies) {
        if (content && 'temporary' in content) this.paths[storePath]?.calls.removeSync(content.temporary);
      }
    }
  }

  /** Whether a store path is unavailable, so that nothing on it can be deleted. */
  isUnavailable(storePath: number): boolean {
    const path = this.paths[storePath];
    return !path?.isOpen || path.unavailable !== undefined;
  }

  /**
   * Makes a temporary hard link to a file of this node with the same content, and resolves with its path. Undefined if the
   * store path has no such file.
   */
  async linkTemporary({ storePath, sha256 }: Pick<FileRecord, 'storePath' | 'sha256'>): Promise<string | undefined> {
    const duplicate = await this.duplicates.large({ storePath, sha256 });
    return duplicate && this.paths[storePath]?.linkTemporary(randomUUID(), duplicate);
  }

  /** Reads the files that have the names of copies, no record, and a content that the name does not determine. */
  private async findUnrecorded(copies: readonly Copy[]): Promise<Making['unrecorded']> {
    const found: Making['unrecorded'] = new Map();
    for (const copy of copies) {
      const path = this.paths[copy.storePath];
      if (copy.version === undefined || !path?.isOpen || this.records.find(copy.key)) continue;
      try {
        const file = await readUnrecorded(path, copy);
        if (file) found.set(copy, file);
      } catch (error) {
        found.set(copy, { reason: `the file here cannot be read: ${(error as Error).message}` });
      }
    }
    return found;
  }

  private write(copies: readonly Copy[], making: Making): StoredFile[] {
    const { files, kept, conflicting, duplicates, failed } = making;
    const { wanted, recorded } = this.records.reading(() => {
      const left = copies.filter(({ name }) => !isDeletedFile(name, this.records));
      return { wanted: left, recorded: new Map(left.map((copy) => [copy, this.records.find(copy.key)])) };
    });
    for (const copy of wanted) {
      const { storePath, directory, name } = copy;
      try {
        const path = this.paths[storePath];
        if (!path?.isOpen) throw new StoreError('unavailable', `store path ${storePath} is not in use`);
        const record = recorded.get(copy);
        // Skips a copy that another change of this batch writes, or that has been stored in the meantime.
        if (this.names.isUnderWay(copy)) {
          // That change may write another content.
          if (copy.version !== undefined) throw new StoreError('unavailable', 'not fetched yet');
          duplicates.push(copy);
          continue;
        }
        const unrecorded = record ? undefined : this.unrecordedOf(copy, path, making);
        const present = record ?? unrecorded;
        if (unrecorded && !supersedes(copy, unrecorded)) {
          kept.push(this.keep(copy, path, unrecorded));
        } else if (!present || supersedes(copy, present)) {
          files.set(copy, this.writeTemporary(copy, record));
          if (present && present.version === copy.version) conflicting.add(copy);
        } else if (record?.sha256.equals(copy.sha256) && path.sizeOf(directory, name) === undefined)
          files.set(copy, this.writeTemporary(copy));
      } catch (error) {
        failed.push({ copy, reason: (error as Error).message });
      }
    }
    return [...files.values(), ...kept];
  }

  /**
   * The file without a record on the disk that differs from a copy; undefined if there is none, or if the copy may replace it anyway.
   * Throws a StoreError if it is not known: the copy is then tried again.
   */
  private unrecordedOf(copy: Copy, path: StorePath, { unrecorded }: Making): UnrecordedFile | undefined {
    if (copy.version === undefined) return undefined;
    const found = unrecorded.get(copy);
    if (found && 'reason' in found) throw new StoreError('failed', found.reason);
    const isSame = found ? isUnchanged(path, copy, found) : path.sizeOf(copy.directory, copy.name) === undefined;
    if (!isSame) throw new StoreError('unavailable', 'the file here was changed while it was compared');
    return found?.sha256.equals(copy.sha256) ? undefined : found;
  }

  /** The record of a file on the disk that has none. In this node's log, so that peers get the file. */
  private keep({ key, storePath, directory, name }: Copy, path: StorePath, found: UnrecordedFile): StoredFile {
    const { size, crc32, sha256, version } = found;
    if (!version) path.calls.utimesSync(filePath(path.root, directory, name), FILE_TIME, FILE_TIME);
    const id = fileId.join(this.group, storePath, directory, name);
    const { created } = decodeName(name);
    const content = { size, crc32, sha256, version, created };
    const file = { id, key, storePath, directory, name, ...content, accepted: true, existed: true };
    this.names.reserve(file);
    return file;
  }

  private writeTemporary(copy: Copy, replaced?: FileRecord): UnnamedFile {
    const { key, storePath, directory, name, size, sha256, version, content } = copy;
    const { crc32, created } = decodeName(name);
    const id = fileId.join(this.group, storePath, directory, name);
    const fields = { size, crc32: crc32 ?? 0, sha256, version, created, accepted: false, replaced };
    const file = { id, key, storePath, directory, name, ...fields };
    const written = this.names.write(file, content instanceof Uint8Array ? [content] : content);
    if (!written) throw new StoreError('unavailable', 'not fetched yet');
    return written;
  }

  private publish(making: Making): void {
    const unnamed: FailedCopy[] = [];
    for (const [copy, file] of making.files) {
      try {
        if (making.conflicting.has(copy)) this.setAside(copy);
        this.names.publish(file);
      } catch (error) {
        unnamed.push({ copy, reason: (error as Error).message });
      }
    }
    for (const copy of making.duplicates) {
      const path = this.paths[copy.storePath] as StorePath;
      if (path.sizeOf(copy.directory, copy.name) === undefined)
        unnamed.push({ copy, reason: 'it could not be renamed to its final name' });
    }
    if (unnamed.length > 0) making.unnamed = unnamed;
  }

  /** Moves the file that a copy replaces to quarantine. */
  private setAside({ storePath, directory, name }: Copy): void {
    const path = this.paths[storePath] as StorePath;
    if (path.sizeOf(directory, name) === undefined) return;
    const kept = path.quarantine(directory, name);
    this.writer.warn(
      `two nodes had stored different files as ${name}; the one that was here is kept as ${kept}`,
      undefined,
    );
  }

  /** Withdraws the records of copies whose temporary file could not be renamed. */
  private withdraw(unnamed: readonly FailedCopy[], { files }: Making, alongside: Takeover['alongside']): void {
    const recorded = unnamed.map(({ copy }) => files.get(copy)).filter((file) => file !== undefined);
    this.records.withdraw(recorded);
    for (const file of recorded) this.names.removeTemporary(file);
    alongside?.(unnamed);
  }

  /**
   * Whether there is something to delete. On a store path that is not open nothing can be deleted; the caller retries later.
   */
  private isRemovable({ key, storePath, directory, name }: RemovedFile): boolean {
    const path = this.paths[storePath];
    if (!path?.isOpen) return false;
    return !this.records.isDeleted(key) || path.isRemovable(directory, name);
  }
}
