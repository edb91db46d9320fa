import { hash, randomUUID } from 'node:crypto';
import { close, fdatasync, futimesSync, rmSync } from 'node:fs';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { FILE_TIME } from './layout.js';
import { RunningDigest } from './running-digest.js';
import type { StorePath } from './store-path.js';
import { writeAll } from './write-all.js';

const fdatasyncAsync = promisify(fdatasync);
const closeAsync = promisify(close);

/** Up to here a file is held in memory and written in one go. */
export const SMALL_FILE = 512 * 1024;
/** What all files under way may hold in memory together; beyond it they go to disk however small. */
const MEMORY_FOR_ALL = 64 * 2 ** 20;
const WRITE_SIZE = 2 ** 20;
/** A growing file is flushed in steps of this many bytes, so that no batch has to wait for much of it. */
const FLUSH_SIZE = 32 * 2 ** 20;
/** More often where a client waits for each piece: then little is left to flush at its end. */
const RESUMABLE_FLUSH_SIZE = 2 * 2 ** 20;

let memoryInUse = 0;

/** A file whose bytes have all arrived, in memory or in a temporary file, but which has no ID yet. */
export interface ReceivedFile {
  size: number;
  crc32: number;
  sha256: Buffer;
  content: readonly Buffer[] | { path: string; storePath: StorePath };
  /** For the ID's name; may be empty. */
  extension: string;
  /** Gives back memory, removes the temporary file if it is still there. To be called whatever happens. */
  release(): void;
}

/** A file that is taken in piece by piece: its temporary file, and the digest of what is there. */
export interface PartialFile {
  path: string;
  /** Open for writing behind what is there. */
  descriptor: number;
  storePath: StorePath;
  digest: RunningDigest;
}

type OnStable = (stable: Pick<RunningDigest, 'size' | 'crc32'>) => void;

/**
 * Takes a file's bytes as they come. Begins in memory; what grows beyond a small file moves to a temporary file, hashed
 * on the way and flushed as it grows. Either `finish` or `discard` must be called at the end.
 */
export class IncomingFile {
  private size = 0;
  private chunks: Buffer[] = [];
  private held = 0;
  private temporary: PartialFile | undefined;
  private writing: Promise<void> | undefined;
  private flushing: Promise<void> | undefined;
  private unflushed = 0;
  private flushSize = FLUSH_SIZE;
  private onStable: OnStable = () => {};
  private failure: unknown;

  /**
   * @param choosePath picks the store path when the file goes to disk; throws when there is none with so much room
   * @param announced the size in bytes, when known
   * @param flushes whether to flush as the file grows (not with `sync: off`)
   */
  constructor(
    private readonly choosePath: (size: number) => StorePath,
    private readonly announced: number | undefined,
    private readonly flushes: boolean,
  ) {}

  /**
   * Goes on with a file of which a part is there; to be ended by `suspend`.
   * @param onStable is told how much of the file is on stable storage, as it grows
   */
  static resume(partial: PartialFile, flushes: boolean, onStable: OnStable): IncomingFile {
    const file = new IncomingFile(() => partial.storePath, undefined, flushes);
    file.temporary = partial;
    file.size = partial.digest.size;
    file.flushSize = RESUMABLE_FLUSH_SIZE;
    file.onStable = onStable;
    return file;
  }

  /** Takes the next bytes. When it returns a promise, no more should come before that has resolved. */
  write(chunk: Buffer): Promise<void> | undefined {
    if (this.failure) throw this.failure;
    this.size += chunk.length;
    this.chunks.push(chunk);
    this.held += chunk.length;
    if (!this.temporary) {
      memoryInUse += chunk.length;
      if (this.held <= SMALL_FILE && memoryInUse <= MEMORY_FOR_ALL) return undefined;
      this.moveToDisk();
      return this.writeOut();
    }
    this.temporary.digest.update(chunk);
    if (this.held < WRITE_SIZE) return undefined;
    // One write under way while the next megabyte arrives; beyond that the sender waits.
    return this.writing ? this.writing.then(() => void this.writeOut()) : void this.writeOut();
  }

  /** All bytes are here. */
  async finish(extension: string): Promise<ReceivedFile> {
    if (!this.temporary) {
      const { size, chunks } = this;
      const release = () => this.releaseMemory();
      return { size, ...digestOf(chunks), content: chunks, extension, release };
    }
    const { path, storePath, digest } = this.temporary;
    await this.suspend();
    const release = () => rmSync(path, { force: true });
    return { ...digest.finish(), content: { path, storePath }, extension, release };
  }

  /** Ends for now: all that came is on stable storage. */
  async suspend(): Promise<void> {
    const { path, descriptor, storePath } = this.temporary as PartialFile;
    try {
      await this.writing;
      await this.writeOut();
      await this.flushing;
      if (this.failure) throw this.failure;
      futimesSync(descriptor, FILE_TIME, FILE_TIME);
      if (this.flushes) await fdatasyncAsync(descriptor);
    } catch (error) {
      throw error === this.failure ? error : storePath.temporaryFailed(path, error);
    } finally {
      await this.closeTemporary();
    }
  }

  /** The bytes are not wanted any more: nothing of them stays. */
  async discard(): Promise<void> {
    this.releaseMemory();
    if (!this.temporary) return;
    const { path } = this.temporary;
    await this.writing;
    await this.flushing;
    await this.closeTemporary();
    rmSync(path, { force: true });
  }

  private releaseMemory(): void {
    if (!this.temporary) memoryInUse -= this.held;
    this.chunks = [];
    this.held = 0;
  }

  private moveToDisk(): void {
    const storePath = this.choosePath(Math.max(this.size, this.announced ?? 0));
    const digest = new RunningDigest();
    this.temporary = { ...storePath.openTemporary(randomUUID()), storePath, digest };
    memoryInUse -= this.held;
    for (const chunk of this.chunks) digest.update(chunk);
  }

  /** Starts to write what has been collected. The promise never rejects: a failure is kept for the next call. */
  private writeOut(): Promise<void> {
    const { descriptor, path, storePath, digest } = this.temporary as PartialFile;
    const { size, crc32 } = digest; // of all that is written with this
    const bytes = this.chunks.length === 1 ? (this.chunks[0] as Buffer) : Buffer.concat(this.chunks);
    this.chunks = [];
    this.held = 0;
    const fail = (error: unknown) => {
      this.failure ??= storePath.temporaryFailed(path, error);
    };
    this.writing = writeAll(descriptor, bytes).then(() => {
      this.writing = undefined;
      this.unflushed += bytes.length;
      if (!this.flushes || this.unflushed < this.flushSize) return undefined;
      this.unflushed = 0;
      const earlier = this.flushing;
      this.flushing = fdatasyncAsync(descriptor).then(() => this.onStable({ size, crc32 }), fail);
      return earlier;
    }, fail);
    return this.writing;
  }

  private async closeTemporary(): Promise<void> {
    if (!this.temporary || this.temporary.descriptor < 0) return;
    const { descriptor } = this.temporary;
    this.temporary.descriptor = -1;
    await closeAsync(descriptor);
  }
}

/** In the pieces in which it came: to join them first costs more than to go through them. */
function digestOf(chunks: readonly Buffer[]): { crc32: number; sha256: Buffer } {
  const [only] = chunks;
  // The quickest way there is for one piece.
  if (chunks.length === 1 && only)
    return { crc32: crc32(only), sha256: Buffer.from(hash('sha256', only, 'hex'), 'hex') };
  const digest = new RunningDigest();
  for (const chunk of chunks) digest.update(chunk);
  return digest.finish();
}
