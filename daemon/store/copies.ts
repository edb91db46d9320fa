import { randomUUID } from 'node:crypto';
import fileId from '../../file-id/file-id.js';
import type { Duplicates } from './duplicates.js';
import type { DurableWriter } from './durable-write.js';
import { StoreError } from './errors.js';
import { copyTemporary, temporaryFile } from './layout.js';
import { decodeName } from './names.js';
import type { FileRecord, Records, RemovedFile, StoredFile } from './records.js';
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
  files: Map<Copy, StoredFile & { temporary: string }>;
  /** Copies that another change of the same batch makes, too. */
  duplicates: Copy[];
  /** Copies that could not be written. */
  failed: FailedCopy[];
  /** Copies whose temporary file could not be renamed; set in the finish phase. */
  unnamed?: FailedCopy[];
}

/**
 * Stores files of peers under the same IDs. Readers may already request those IDs, so only a complete, durable file may appear
 * under the final name: bytes are written to a temporary file, which is renamed after the sync of its batch. The name of the
 * temporary file contains the final name, so that recovery can repeat a rename that a crash prevented.
 */
export class Copies {
  /** Paths of the temporary files of the current batch. */
  private readonly unnamed = new Set<string>();
  /** Those of them that are not hard links, by content. */
  private readonly fresh = new Map<string, string>();
  private readonly group: string;
  private readonly deduplicate: boolean;
  private readonly paths: readonly StorePath[];
  private readonly writer: DurableWriter;
  private readonly duplicates: Duplicates;

  constructor(
    { group, deduplicate }: Pick<StoreSettings, 'group' | 'deduplicate'>,
    { paths, writer, duplicates }: Pick<Store, 'paths' | 'writer' | 'duplicates'>,
    private readonly records: Records,
  ) {
    this.group = group;
    this.deduplicate = deduplicate;
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
        undo: () => this.removeTemporaries(making),
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
      const left = copies.filter(({ key }) => !this.records.isDeleted(key));
      return { wanted: left, recorded: new Set(left.filter(({ key }) => this.records.find(key))) };
    });
    for (const copy of wanted) {
      const { storePath, directory, name } = copy;
      try {
        const path = this.paths[storePath];
        if (!path?.isOpen) throw new StoreError('unavailable', `store path ${storePath} is not in use`);
        // Skips a copy that another change of this batch writes, or that has been stored in the meantime.
        if (this.unnamed.has(temporaryPath(path, copy))) duplicates.push(copy);
        else if (!recorded.has(copy) || path.sizeOf(directory, name) === undefined)
          files.set(copy, this.writeTemporary(path, copy));
      } catch (error) {
        failed.push({ copy, reason: (error as Error).message });
      }
    }
    return [...files.values()];
  }

  private writeTemporary(path: StorePath, copy: Copy): StoredFile & { temporary: string } {
    const { key, storePath, directory, name, size, sha256, version, content } = copy;
    const { crc32, created } = decodeName(name);
    const id = fileId.join(this.group, storePath, directory, name);
    const file = { id, key, storePath, directory, name, size, crc32: crc32 ?? 0, sha256, version, created };
    const temporaryName = copyTemporary(copy);
    let temporary: string | undefined;
    let linked = false;
    if (content && 'temporary' in content) {
      temporary = path.renameTemporary(content.temporary, temporaryName);
      linked = content.linked;
    } else {
      temporary = this.linkDuplicate(path, file, temporaryName, content);
      linked = temporary !== undefined;
      if (!temporary && !content) throw new StoreError('unavailable', 'not fetched yet');
      temporary ??= path.createTemporary(temporaryName, content as Uint8Array);
    }
    this.unnamed.add(temporary);
    if (!linked) this.fresh.set(contentKey(file), temporary);
    return { ...file, accepted: false, temporary, linked };
  }

  /**
   * Makes a temporary hard link to a file of this node, or of this batch, with the same content. Undefined if there is none.
   */
  private linkDuplicate(
    path: StorePath,
    file: Pick<StoredFile, 'storePath' | 'sha256' | 'size'>,
    temporaryName: string,
    content: Uint8Array | undefined,
  ): string | undefined {
    if (content && !this.deduplicate) return undefined;
    const fresh = this.fresh.get(contentKey(file));
    if (fresh) return path.linkTemporaries(fresh, temporaryName);
    for (const duplicate of this.duplicates.small({ ...file, content: content && [content] })) {
      const linked = path.linkTemporary(temporaryName, duplicate);
      if (linked) return linked;
    }
    return undefined;
  }

  private removeTemporaries({ files }: Making): void {
    for (const file of files.values()) {
      this.unnamed.delete(file.temporary);
      this.fresh.delete(contentKey(file));
    }
    for (const file of files.values()) this.removeTemporary(file);
  }

  /** Does not throw: a temporary file that remains is removed by the next startup's recovery and does no harm until then. */
  private removeTemporary({ storePath, temporary }: StoredFile & { temporary: string }): void {
    try {
      this.paths[storePath]?.calls.removeSync(temporary);
    } catch (error) {
      this.writer.warn('a temporary file of a copy could not be removed; the next start does it', error);
    }
  }

  private publish(making: Making): void {
    const unnamed: FailedCopy[] = [];
    for (const [copy, file] of making.files) {
      const { storePath, directory, name, temporary } = file;
      this.unnamed.delete(temporary);
      this.fresh.delete(contentKey(file));
      try {
        (this.paths[storePath] as StorePath).replace(temporary, directory, name);
        // rename() does nothing if both names are links to the same file.
        if (file.linked) this.removeTemporary(file);
        else this.duplicates.wrote(file.sha256, file);
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
    for (const file of recorded) this.removeTemporary(file);
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

function contentKey({ storePath, sha256 }: Pick<FileRecord, 'storePath' | 'sha256'>): string {
  return `${storePath} ${sha256.toString('latin1')}`;
}

function temporaryPath(path: StorePath, copy: Copy): string {
  return temporaryFile(path.root, copyTemporary(copy));
}
