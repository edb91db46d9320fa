import type { Duplicates } from './duplicates.js';
import type { DurableWriter } from './durable-write.js';
import type { ReceivedFile } from './incoming-file.js';
import type { Minter, NewContent } from './minter.js';
import type { FileLocation, StoredFile } from './records.js';
import { type MayTake, roomiest } from './room.js';
import type { StorePath } from './store-path.js';

/** Duplicates of a large file, looked up before its batch. */
interface LargeDuplicate {
  /** Where this process wrote the content last. */
  last: FileLocation | undefined;
  /** A file that was read and checked. */
  location: FileLocation | undefined;
}

interface AdditionParts {
  deduplicate: boolean;
  paths: readonly StorePath[];
  mayTake: MayTake;
  minter: Minter;
  duplicates: Duplicates;
  writer: DurableWriter;
}

/** Stores uploads: as hard links to duplicates on this node, or written to a store path that has space for them. */
export class Additions {
  constructor(private readonly parts: AdditionParts) {}

  /**
   * Assigns IDs to received files and makes them durable, all or none. Rejects with a StoreError; then none of them is stored.
   */
  async add(received: readonly ReceivedFile[]): Promise<StoredFile[]> {
    const hasLarge = received.some(({ content }) => 'storePath' in content);
    const duplicates = hasLarge ? await Promise.all(received.map((file) => this.largeDuplicate(file))) : [];
    return this.parts.writer.commit({ write: () => this.writeAll(received, duplicates), undo: this.discardAll });
  }

  /**
   * Assigns another ID to a stored content, as a hard link to `duplicate`. Undefined if that file was deleted in the meantime or
   * takes no more links. Rejects with a StoreError.
   */
  async addName(content: NewContent, duplicate: FileLocation): Promise<StoredFile | undefined> {
    const write = () => {
      const stored = this.linkTo(content, duplicate);
      return stored ? [stored] : [];
    };
    const [stored] = await this.parts.writer.commit({ write, undo: this.discardAll });
    return stored;
  }

  private readonly discardAll = (added: readonly StoredFile[]): void => {
    for (const file of added) this.parts.writer.discard(file);
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
    if (!this.parts.deduplicate || !('storePath' in content)) return undefined;
    return { last: this.parts.duplicates.last(sha256), location: await this.parts.duplicates.large({ sha256 }) };
  }

  /** Stores a file as a hard link to a duplicate. Undefined if there is none. */
  private link(file: ReceivedFile, large: LargeDuplicate | undefined): StoredFile | undefined {
    // An appender must have its bytes for itself, because they change.
    if (!this.parts.deduplicate || file.isAppender) return undefined;
    const { content, sha256, size } = file;
    for (const duplicate of 'storePath' in content
      ? this.largeDuplicates(sha256, large)
      : this.parts.duplicates.small({ sha256, size, content })) {
      const stored = this.linkTo(file, duplicate);
      if (stored) return stored;
    }
    return undefined;
  }

  private linkTo(content: NewContent, duplicate: FileLocation): StoredFile | undefined {
    const path = this.parts.paths[duplicate.storePath];
    if (!path?.isOpen || path.unavailable !== undefined || !this.parts.mayTake(path.number) || path.isFull)
      return undefined;
    const stored = this.parts.minter.mint(content, path);
    return path.link(duplicate, stored.directory, stored.name) ? { ...stored, linked: true } : undefined;
  }

  private largeDuplicates(sha256: Buffer, large: LargeDuplicate | undefined): FileLocation[] {
    const last = this.parts.duplicates.last(sha256);
    // A file written after the lookup needs no check: this process has just written these bytes.
    return [last === large?.last ? undefined : last, large?.location].filter((location) => location !== undefined);
  }

  /**
   * Assigns an ID and writes the file under it. Tries another store path if the first is full or unavailable. Throws a
   * StoreError.
   */
  private write(file: ReceivedFile): StoredFile {
    let failure: unknown;
    for (let attempt = 0; attempt <= this.parts.paths.length; attempt++) {
      const onDisk = 'storePath' in file.content ? file.content : undefined;
      const path = onDisk?.storePath ?? this.pathFor(file, attempt === 0);
      const stored = this.parts.minter.mint(file, path);
      const { directory, name } = stored;
      try {
        if (onDisk) path.adopt(onDisk.path, directory, name);
        else path.create(directory, name, file.content as readonly Buffer[], () => this.parts.writer.discard(stored));
      } catch (error) {
        failure = error;
        // If the path is healthy, the error concerns this file and would occur again.
        if (onDisk || (path.unavailable === undefined && !path.isFull)) throw error;
        continue;
      }
      file.reservation?.release();
      if (this.parts.deduplicate && !file.isAppender) this.parts.duplicates.wrote(file.sha256, stored);
      return stored;
    }
    throw failure;
  }

  /** The store path of the file's reservation, or another one if that cannot be used. */
  private pathFor({ reservation, size }: ReceivedFile, isFirst: boolean): StorePath {
    const path = reservation?.storePath;
    if (isFirst && path && path.unavailable === undefined && this.parts.mayTake(path.number)) return path;
    reservation?.release();
    return roomiest(this.parts.paths, size, this.parts.mayTake);
  }
}
