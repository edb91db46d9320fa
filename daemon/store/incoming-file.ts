import { createHash, type Hash, hash, randomUUID } from 'node:crypto';
import { close, fdatasync, futimesSync, rmSync } from 'node:fs';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { FILE_TIME } from './layout.js';
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

interface Temporary {
  path: string;
  descriptor: number;
  storePath: StorePath;
  sha256: Hash;
}

/**
 * Takes a file's bytes as they come. Begins in memory; what grows beyond a small file moves to a temporary file, hashed
 * on the way and flushed as it grows. Either `finish` or `discard` must be called at the end.
 */
export class IncomingFile {
  private size = 0;
  private chunks: Buffer[] = [];
  private held = 0;
  private temporary: Temporary | undefined;
  private crc = 0;
  private writing: Promise<void> | undefined;
  private flushing: Promise<void> | undefined;
  private unflushed = 0;
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
    this.digest(chunk);
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
    const { path, descriptor, storePath, sha256 } = this.temporary;
    await this.writing;
    await this.writeOut();
    await this.flushing;
    if (this.failure) throw this.failure;
    try {
      futimesSync(descriptor, FILE_TIME, FILE_TIME);
      if (this.flushes) await fdatasyncAsync(descriptor);
    } catch (error) {
      throw storePath.temporaryFailed(path, error);
    }
    await this.closeTemporary();
    const release = () => rmSync(path, { force: true });
    return {
      size: this.size,
      crc32: this.crc,
      sha256: sha256.digest(),
      content: { path, storePath },
      extension,
      release,
    };
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
    this.temporary = { ...storePath.openTemporary(randomUUID()), storePath, sha256: createHash('sha256') };
    memoryInUse -= this.held;
    for (const chunk of this.chunks) this.digest(chunk);
  }

  private digest(chunk: Buffer): void {
    this.temporary?.sha256.update(chunk);
    this.crc = crc32(chunk, this.crc);
  }

  /** Starts to write what has been collected. The promise never rejects: a failure is kept for the next call. */
  private writeOut(): Promise<void> {
    const { descriptor, path, storePath } = this.temporary as Temporary;
    const bytes = this.chunks.length === 1 ? (this.chunks[0] as Buffer) : Buffer.concat(this.chunks);
    this.chunks = [];
    this.held = 0;
    const fail = (error: unknown) => {
      this.failure ??= storePath.temporaryFailed(path, error);
    };
    this.writing = writeAll(descriptor, bytes).then(() => {
      this.writing = undefined;
      this.unflushed += bytes.length;
      if (!this.flushes || this.unflushed < FLUSH_SIZE) return undefined;
      this.unflushed = 0;
      const earlier = this.flushing;
      this.flushing = fdatasyncAsync(descriptor).catch(fail);
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
  const sha256 = createHash('sha256');
  let crc = 0;
  for (const chunk of chunks) {
    sha256.update(chunk);
    crc = crc32(chunk, crc);
  }
  return { crc32: crc, sha256: sha256.digest() };
}
