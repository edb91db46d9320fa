import { randomUUID } from 'node:crypto';
import { createReadStream, realpathSync, statSync } from 'node:fs';
import { sep } from 'node:path';
import fileId from '../../file-id/file-id.js';
import type { ReadFile, ToRead } from './file-readers.js';
import type { ForeignFile } from './foreign.js';
import { type IncomingFile, type ReceivedFile, SMALL_FILE } from './incoming-file.js';
import { dataDirectory, FILE_TIME, filePath } from './layout.js';
import { isMutable } from './names.js';
import type { UnnamedContent } from './public-names.js';
import type { FileLocation } from './records.js';
import { Reservation } from './reservation.js';
import type { Store } from './store.js';
import type { StorePath } from './store-path.js';

/** Length of a packed file's name. */
const PACKED_LENGTH = 50;
/** Bytes of a larger file that are copied at a time. */
const CHUNK = 2 ** 20;

/** A foreign file, with where its bytes are. */
export interface Located {
  file: ForeignFile;
  path: string;
  offset: number;
  size: number;
  /** Whether size and CRC32 in the name may be those of the path of a link. */
  isLink: boolean;
  /** The file of the same store path that has all the bytes, and of which a hard link can be made. */
  source?: FileLocation | undefined;
}

/** Finds the bytes of a foreign file. A file is left as it is for a `reason`. */
export function locate(store: Store, group: string, path: StorePath, file: ForeignFile): Located | { reason: string } {
  const { form, directory, name } = file;
  const full = filePath(path.root, directory, name);
  const id = () => fileId.decode(fileId.join(group, path.number, directory, name));
  if (form === 'plain') {
    // A packed file that was unpacked before its record was lost.
    const isLink = name.length === PACKED_LENGTH && store.packed.find(id())?.isLink === true;
    return { file, path: full, offset: 0, size: sizeOf(full), isLink };
  }
  if (form === 'symbolic') {
    const target = targetOf(store, full);
    if (typeof target !== 'string') return target;
    return { file, path: target, offset: 0, size: sizeOf(target), isLink: true, source: sourceIn(path, target) };
  }
  const found = store.packed.find(id());
  if (!found) return { reason: 'its slot is not there any more, or its link leads nowhere' };
  if (found.isLink) {
    const target = targetOf(store, found.path);
    if (typeof target !== 'string') return target;
  }
  return { file, ...found, source: found.isLink ? sourceIn(path, found.path) : undefined };
}

/** The file that a symbolic link leads to. Only files of the store paths count. */
function targetOf(store: Store, link: string): string | { reason: string } {
  try {
    const target = realpathSync(link);
    const isInside = store.paths.some(({ root }) => target.startsWith(realpathSync(dataDirectory(root)) + sep));
    if (!isInside) return { reason: 'it is a symbolic link out of the store paths' };
    return statSync(target).isFile() ? target : { reason: 'it is a symbolic link to something other than a file' };
  } catch {
    return { reason: 'it is a symbolic link that leads nowhere' };
  }
}

/** The location of a file of this store path with the name of one whose bytes never change; undefined for another file. */
function sourceIn(path: StorePath, target: string): FileLocation | undefined {
  const data = realpathSync(dataDirectory(path.root)) + sep;
  const full = realpathSync(target);
  const [, high, low, name] = /^([0-9A-F]{2})\/([0-9A-F]{2})\/([^/]+)$/.exec(full.slice(data.length)) ?? [];
  if (!full.startsWith(data) || name === undefined) return undefined;
  try {
    if (isMutable(name)) return undefined;
  } catch (error) {
    if (!fileId.isFileIdError(error)) throw error;
    return undefined;
  }
  return { storePath: path.number, directory: Number.parseInt(`${high}${low}`, 16), name };
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/**
 * Makes the bytes of a packed file or of a symbolic link a file of its own, under a temporary name: a hard link where that is
 * possible, otherwise a copy, for which space is reserved as for an upload. Up to SMALL_FILE bytes are held in memory, and written
 * by the batch. The caller must always call `release`.
 */
export class ForeignContent {
  private received: ReceivedFile | undefined;

  private constructor(
    readonly located: Located,
    private readonly store: Store,
    private readonly path: StorePath,
    /** A temporary hard link to a file with the same bytes. */
    private linked: string | undefined,
    /** Of a small file. */
    private readonly room: Reservation | undefined,
    /** Of a larger file. */
    private readonly incoming: IncomingFile | undefined,
  ) {}

  /** Throws a StoreError (full) if there is not enough space for a copy. */
  static prepare(store: Store, path: StorePath, located: Located): ForeignContent {
    const { source, size } = located;
    const linked = source && path.linkTemporary(randomUUID(), source);
    if (linked !== undefined) return new ForeignContent(located, store, path, linked, undefined, undefined);
    if (size <= SMALL_FILE)
      return new ForeignContent(located, store, path, undefined, new Reservation(path, size), undefined);
    return new ForeignContent(located, store, path, undefined, undefined, store.receiveOn(path, size));
  }

  /** What a thread has to read: of a hard link the link itself, so that the bytes are those that get the name. */
  get toRead(): ToRead {
    const { path, offset, size } = this.located;
    if (this.linked !== undefined) return { path: this.linked, offset: 0, size: undefined, keep: false };
    return { path, offset, size, keep: this.room !== undefined };
  }

  /**
   * Copies a larger file to its temporary file, or makes a hard link to a file of this node with the same bytes. Resolves with
   * the reason why the file is left as it is, if there is one. Rejects if the signal is aborted.
   * @param pace waits until this many bytes may be read
   */
  async copy(
    { sha256: digest, size }: ReadFile,
    pace: (bytes: number) => Promise<void>,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { incoming, path, located } = this;
    if (!incoming) return undefined;
    const sha256 = Buffer.from(digest, 'hex');
    const storePath = path.number;
    const duplicate = this.store.deduplicates ? await this.store.duplicates.large({ sha256, storePath }) : undefined;
    this.linked = duplicate && path.linkTemporary(randomUUID(), duplicate);
    if (this.linked !== undefined) return undefined;
    const { offset } = located;
    try {
      const bytes = createReadStream(located.path, {
        start: offset,
        end: offset + size - 1,
        highWaterMark: CHUNK,
        signal,
      });
      for await (const chunk of bytes) {
        await pace(chunk.length);
        await incoming.write(chunk);
      }
      this.received = await incoming.finish('');
    } catch (error) {
      signal.throwIfAborted();
      return (error as Error).message;
    }
    return this.received.sha256.equals(sha256) ? undefined : 'it changed while it was read';
  }

  /** What gets the name of the file. */
  contentOf({ content }: ReadFile): UnnamedContent {
    if (this.linked !== undefined) {
      // The other file may have no record yet.
      this.path.calls.utimesSync(this.linked, FILE_TIME, FILE_TIME);
      return { temporary: this.linked, linked: true };
    }
    const copied = this.received?.content;
    if (copied && 'path' in copied) return { temporary: copied.path, linked: false };
    return copied ?? (content && [content]);
  }

  /** Ends the reservation, and removes the temporary files that have not got their names. */
  async release(): Promise<void> {
    this.room?.release();
    if (this.received) this.received.release();
    else await this.incoming?.discard();
    if (this.linked !== undefined) this.path.calls.removeSync(this.linked);
  }
}
