import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import fileId from '../../file-id/file-id.js';
import type { DurableWriter } from './durable-write.js';
import { StoreError } from './errors.js';
import { differenceFromName, readContent } from './inspect.js';
import { filePath } from './layout.js';
import type { FileRecord, Records, RemovedFile, StoredFile } from './records.js';
import type { StorePath } from './store-path.js';

/** A file of a peer, checked against its ID and SHA-256, that is to have the same name here. */
export interface Copy extends FileRecord {
  /** Its bytes, or a temporary file on its store path that holds them. */
  content: Uint8Array | { temporary: string };
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

/**
 * Takes over what peers hold, under the same names. Those names are public, so nothing may ever be seen under them but
 * the whole file: bytes go to temporary files, one sync brings those to stable storage, and only then they are renamed.
 */
export class Copies {
  constructor(
    private readonly group: string,
    private readonly paths: readonly StorePath[],
    private readonly records: Records,
    private readonly writer: DurableWriter,
  ) {}

  /**
   * Makes copies and deletions durable. A copy that cannot be made is told to `alongside`, and the others go on; what has
   * been deleted meanwhile is left out. Rejects when nothing could be written down; then all may be tried again.
   */
  async take({ copies, removed = [], alongside }: Takeover): Promise<void> {
    const failed: FailedCopy[] = [];
    const temporaries = await this.writeTemporaries(copies, failed);
    try {
      await this.writer.commit({
        write: () => this.rename(temporaries, failed),
        removed: removed.filter((file) => this.isRemovable(file)),
        alongside: () => alongside?.(failed),
      });
    } finally {
      // Renamed, they are gone; to look for each of them would cost as much as to make it.
      for (const temporary of temporaries.values()) rmSync(temporary, { force: true });
    }
  }

  /** Whether a store path that was there at the start is not now: what is on it cannot be deleted. */
  isAway(storePath: number): boolean {
    const path = this.paths[storePath];
    return path?.isOpen === true && path.trouble !== undefined;
  }

  /**
   * A temporary link to a file of this node with the same content, read and found right; undefined when there is none on
   * that store path.
   */
  async linkTemporary({ storePath, sha256 }: Pick<FileRecord, 'storePath' | 'sha256'>): Promise<string | undefined> {
    const path = this.paths[storePath] as StorePath;
    for (const twin of this.records.findByContent(sha256)) {
      if (twin.storePath !== storePath) continue;
      const content = await readContent(filePath(path.root, twin.directory, twin.name), { sha256: true }).catch(
        () => null,
      );
      // A bad one is the scrub's business.
      if (content?.sha256?.equals(sha256)) return path.linkTemporary(randomUUID(), twin);
    }
    return undefined;
  }

  private async writeTemporaries(copies: readonly Copy[], failed: FailedCopy[]): Promise<Map<Copy, string>> {
    const temporaries = new Map<Copy, string>();
    for (const copy of copies) {
      try {
        const path = this.paths[copy.storePath];
        if (!path?.isOpen) throw new StoreError('unavailable', `store path ${copy.storePath} is not in use`);
        const { content } = copy;
        temporaries.set(copy, 'temporary' in content ? content.temporary : path.createTemporary(randomUUID(), content));
      } catch (error) {
        failed.push({ copy, reason: (error as Error).message });
      }
    }
    const flushed = this.paths.map(async (path) => {
      const here = [...temporaries].filter(([copy]) => copy.storePath === path.number);
      try {
        const files = here.map(([, file]) => file);
        await this.writer.flush(path, files);
      } catch (error) {
        for (const [copy, temporary] of here) {
          failed.push({ copy, reason: (error as Error).message });
          temporaries.delete(copy);
          rmSync(temporary, { force: true });
        }
      }
    });
    await Promise.all(flushed);
    return temporaries;
  }

  private rename(temporaries: Map<Copy, string>, failed: FailedCopy[]): StoredFile[] {
    const stored: StoredFile[] = [];
    for (const [copy, temporary] of temporaries) {
      const { key, storePath, directory, name, sha256 } = copy;
      const path = this.paths[storePath] as StorePath;
      if (this.records.isDeleted(key)) continue;
      // It came by another way meanwhile.
      if (this.records.find(key) && path.sizeOf(directory, name) !== undefined) continue;
      try {
        path.replace(temporary, directory, name);
        if (!('temporary' in copy.content)) temporaries.delete(copy);
      } catch (error) {
        failed.push({ copy, reason: (error as Error).message });
        continue;
      }
      const { size, crc32, created } = fileId.decodeName(name);
      const id = fileId.join(this.group, storePath, directory, name);
      const place = { id, key, storePath, directory, name };
      stored.push({ ...place, size: size ?? 0, crc32: crc32 ?? 0, sha256, created, accepted: false });
    }
    return stored;
  }

  /** A path that was not there at the start takes no deletions; the comparison after the next start brings them. */
  private isRemovable({ key, storePath, directory, name }: RemovedFile): boolean {
    const path = this.paths[storePath];
    if (!path?.isOpen) return false;
    return !this.records.isDeleted(key) || path.sizeOf(directory, name) !== undefined;
  }
}

/** Why bytes are not those of the file that they should be; undefined when they are. */
export function differenceFrom(
  { name, sha256 }: Pick<FileRecord, 'name' | 'sha256'>,
  content: { size: number; crc32: number; sha256: Buffer },
): string | undefined {
  const difference = differenceFromName(name, content);
  if (difference !== undefined) return difference;
  return content.sha256.equals(sha256) ? undefined : 'another SHA-256 than it should have';
}
