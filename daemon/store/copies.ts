import { randomUUID } from 'node:crypto';
import fileId from '../../file-id/file-id.js';
import type { Duplicates } from './duplicates.js';
import type { DurableWriter } from './durable-write.js';
import { StoreError } from './errors.js';
import { copyTemporary, temporaryFile } from './layout.js';
import type { FileRecord, Records, RemovedFile, StoredFile } from './records.js';
import type { Store, StoreSettings } from './store.js';
import type { StorePath } from './store-path.js';

/** A file of a peer, checked against its ID and SHA-256, that is to have the same name here. */
export interface Copy extends FileRecord {
  /**
   * Its bytes, or a temporary file on its store path that holds them (and is a link to another file there, or is not);
   * undefined when another file is said to have them.
   */
  content: Uint8Array | { temporary: string; linked: boolean } | undefined;
}

/** What is taken over from peers at once. */
export interface Takeover {
  copies: readonly Copy[];
  /** What peers deleted. */
  removed?: readonly RemovedFile[];
  /** Written down in the same transaction; it is told which copies could not be made, and why. */
  alongside?(failed: readonly FailedCopy[]): void;
}

export interface FailedCopy {
  copy: Copy;
  reason: string;
}

/** Copies on their way. */
interface Making {
  files: Map<Copy, StoredFile & { temporary: string }>;
  /** What another change of the same batch makes. */
  duplicates: Copy[];
  /** What could not be written, */
  failed: FailedCopy[];
  /** and what did not get its name. */
  unnamed?: FailedCopy[];
}

/**
 * Takes over what peers hold, under the same names. Those names are public, so nothing may ever be seen under them but
 * the whole file: bytes go to temporary files, and those are renamed when the sync of their batch has returned. From then
 * on a crash loses nothing: the temporary file says which name it is to get, and a start gives it.
 */
export class Copies {
  /** The temporaries of the batch under way, */
  private readonly unnamed = new Set<string>();
  /** and by their content those of them that are no links. */
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
   * Makes copies and deletions durable. A copy that cannot be made is told to `alongside` (once more where that shows
   * later), and the others go on; what has been deleted meanwhile is left out. Rejects when nothing could be written down;
   * then all may be tried again.
   */
  async take({ copies, removed = [], alongside }: Takeover): Promise<void> {
    const making: Making = { files: new Map(), duplicates: [], failed: [] };
    try {
      await this.writer.commit({
        write: () => this.write(copies, making),
        undo: () => this.removeTemporaries(making),
        removed: removed.filter((file) => this.isRemovable(file)),
        alongside: () => alongside?.(making.failed),
        finish: () => this.giveNames(making),
      });
      const { unnamed } = making;
      if (unnamed) await this.writer.commit({ alongside: () => this.withdraw(unnamed, making, alongside) });
    } finally {
      for (const { content, storePath } of copies) {
        if (content && 'temporary' in content) this.paths[storePath]?.calls.removeSync(content.temporary);
      }
    }
  }

  /** Whether a store path takes no deletions now: what is on it cannot be deleted. */
  isAway(storePath: number): boolean {
    const path = this.paths[storePath];
    return !path?.isOpen || path.unavailable !== undefined;
  }

  /** A temporary link to a file of this node with the same content; undefined when there is none on that store path. */
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
        // It came by another way meanwhile, or with another change of this batch.
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
    const { key, storePath, directory, name, sha256, content } = copy;
    const { size, crc32, created } = fileId.decodeName(name);
    const id = fileId.join(this.group, storePath, directory, name);
    const file = { id, key, storePath, directory, name, size: size ?? 0, crc32: crc32 ?? 0, sha256, created };
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

  /** A temporary link to what this node has, or what this batch has just written. */
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

  /** One that stays is swept by the next start, and in the way of nothing until then. */
  private removeTemporary({ storePath, temporary }: StoredFile & { temporary: string }): void {
    try {
      this.paths[storePath]?.calls.removeSync(temporary);
    } catch (error) {
      this.writer.warn('a temporary file of a copy could not be removed; the next start does it', error);
    }
  }

  private giveNames(making: Making): void {
    const unnamed: FailedCopy[] = [];
    for (const [copy, file] of making.files) {
      const { storePath, directory, name, temporary } = file;
      this.unnamed.delete(temporary);
      this.fresh.delete(contentKey(file));
      try {
        (this.paths[storePath] as StorePath).replace(temporary, directory, name);
        // A link to the file that had the name already is left.
        if (file.linked) this.removeTemporary(file);
        else this.duplicates.wrote(file.sha256, file);
      } catch (error) {
        unnamed.push({ copy, reason: (error as Error).message });
      }
    }
    for (const copy of making.duplicates) {
      const path = this.paths[copy.storePath] as StorePath;
      if (path.sizeOf(copy.directory, copy.name) === undefined)
        unnamed.push({ copy, reason: 'it could not get its name' });
    }
    if (unnamed.length > 0) making.unnamed = unnamed;
  }

  /** Takes the records of copies back that could not get their names. */
  private withdraw(unnamed: readonly FailedCopy[], { files }: Making, alongside: Takeover['alongside']): void {
    const recorded = unnamed.map(({ copy }) => files.get(copy)).filter((file) => file !== undefined);
    this.records.withdraw(recorded);
    for (const file of recorded) this.removeTemporary(file);
    alongside?.(unnamed);
  }

  /** A path that is not there takes no deletions; who has learned of one keeps it until then. */
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
