import { randomUUID } from 'node:crypto';
import fileId from '../../file-id/file-id.js';
import type { Duplicates } from './duplicates.js';
import type { DurableWriter } from './durable-write.js';
import { StoreError } from './errors.js';
import { decodeName } from './names.js';
import type { PublicNames, UnnamedFile } from './public-names.js';
import { type FileRecord, type Records, type RemovedFile, type StoredFile, supersedes } from './records.js';
import { isDeletedFile } from './recover-file.js';
import type { Store, StoreSettings } from './store.js';
import type { StorePath } from './store-path.js';

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
   * in a second call; the other copies are not affected. Skips files deleted in the meantime. Rejects with a StoreError if
   * nothing was recorded; all of it may be retried then.
   */
  async take({ copies, removed = [], alongside }: Takeover): Promise<void> {
    const making: Making = { files: new Map(), duplicates: [], failed: [] };
    try {
      await this.writer.commit({
        write: () => this.write(copies, making),
        undo: () => this.names.remove([...making.files.values()]),
        removed: removed.filter((file) => this.isRemovable(file)),
        alongside: () => alongside?.(making.failed),
        finish: () => this.publish(making),
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

  private write(copies: readonly Copy[], { files, duplicates, failed }: Making): StoredFile[] {
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
        } else if (!record || supersedes(copy, record)) files.set(copy, this.writeTemporary(copy, record));
        else if (record.sha256.equals(copy.sha256) && path.sizeOf(directory, name) === undefined)
          files.set(copy, this.writeTemporary(copy));
      } catch (error) {
        failed.push({ copy, reason: (error as Error).message });
      }
    }
    return [...files.values()];
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
    return !this.records.isDeleted(key) || path.sizeOf(directory, name) !== undefined;
  }
}
