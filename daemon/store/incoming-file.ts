import { hash, randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { FILE_TIME } from './layout.js';
import type { Reservation } from './reservation.js';
import { RunningDigest } from './running-digest.js';
import type { StorePath } from './store-path.js';
import { writeAll } from './write-all.js';

/** Up to this size in bytes a file is held in memory and written by its batch. */
export const SMALL_FILE = 512 * 1024;
/** Limit in bytes for all files held in memory together; beyond it also small files go to temporary files. */
const MEMORY_FOR_ALL = 64 * 2 ** 20;
/** Bytes that are collected for one write to a temporary file. */
const WRITE_SIZE = 2 ** 20;
/**
 * A growing file is flushed whenever this many bytes have been written, so that the sync of a batch has little of it to write.
 */
const FLUSH_SIZE = 32 * 2 ** 20;
/** Smaller for resumable uploads, whose client waits for the flush at the end of each piece. */
const RESUMABLE_FLUSH_SIZE = 2 * 2 ** 20;

const DONE = Promise.resolve();

let memoryInUse = 0;

/** A completely received file without an ID. */
export interface ReceivedFile {
  size: number;
  crc32: number;
  sha256: Buffer;
  /** Its bytes in memory, or its temporary file. */
  content: readonly Buffer[] | { path: string; storePath: StorePath };
  /** The reservation of a file in memory. */
  reservation?: Reservation;
  /** For the tail of the ID, without the dot; may be empty. */
  extension: string;
  /** Whether it becomes an appender. */
  isAppender?: boolean;
  /** Releases memory and reservation; removes the temporary file if it still exists. Must always be called. */
  release(): void;
}

/** An open temporary file, and the digest of the bytes in it. */
export interface PartialFile {
  path: string;
  /** Open for appending. */
  descriptor: number;
  storePath: StorePath;
  digest: RunningDigest;
}

type OnStable = (stable: Pick<RunningDigest, 'size' | 'crc32'>) => void;

/**
 * Receives the bytes of a file. A small file is held in memory; a larger one is moved to a temporary file, hashed as it is
 * received and flushed as it grows. The caller must end with `finish` or `discard`.
 *
 * Operations on the temporary file run one after another in a queue, and closing it is the last. So no late write can reach a
 * closed descriptor, or another file that got its number.
 */
export class IncomingFile {
  private size = 0;
  private chunks: Buffer[] = [];
  private held = 0;
  private temporary: PartialFile | undefined;
  /** Resolves when all queued steps have ended; never rejects. */
  private steps = DONE;
  private stepsLeft = 0;
  /** The current flush, which runs in parallel to later writes. Never rejects. */
  private flushing = DONE;
  private closing: Promise<void> | undefined;
  private unflushed = 0;
  private flushSize = FLUSH_SIZE;
  private onStable: OnStable = () => {};
  /** The first error: no step starts after it, and every later call throws it. */
  private failure: unknown;
  private reservation: Reservation;

  /**
   * Throws what `reserve` throws.
   * @param reserve makes a reservation of this many bytes, or throws
   * @param announced the size in bytes, if known
   * @param flushes whether to flush as the file grows (not with `sync: off`)
   */
  constructor(
    private readonly reserve: (bytes: number) => Reservation,
    private readonly announced: number | undefined,
    private readonly flushes: boolean,
  ) {
    this.reservation = reserve(announced ?? 0);
  }

  /**
   * Continues a partially received file. Must be ended by `suspend`.
   * @param reservation covers the rest of the file; the caller releases it
   * @param onStable called after each flush with the size and CRC32 of what is on stable storage
   */
  static resume(partial: PartialFile, reservation: Reservation, flushes: boolean, onStable: OnStable): IncomingFile {
    const file = new IncomingFile(() => reservation, undefined, flushes);
    file.temporary = partial;
    file.size = partial.digest.size;
    file.flushSize = RESUMABLE_FLUSH_SIZE;
    file.onStable = onStable;
    return file;
  }

  /**
   * Receives the next bytes. If it returns a promise, the caller should wait for it before the next call (backpressure); it
   * never rejects. Throws a StoreError if there is no space for the bytes or an earlier write failed.
   */
  write(chunk: Buffer): Promise<void> | undefined {
    if (this.failure) throw this.failure;
    if (this.closing) throw new Error('bytes were received after the end of their file');
    this.reservation.arrive(chunk.length);
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
    // One write runs while the next megabyte is received; beyond that the sender waits.
    const before = this.stepsLeft > 0 ? this.steps : undefined;
    this.writeOut();
    return before;
  }

  /** Ends a completely received file. Rejects with the first error. */
  async finish(extension: string): Promise<ReceivedFile> {
    if (!this.temporary) {
      if (this.failure) throw this.failure;
      const { size, chunks, reservation } = this;
      const release = () => this.releaseMemory();
      return { size, ...digestOf(chunks), content: chunks, reservation, extension, release };
    }
    const { path, storePath, digest } = this.temporary;
    const { reservation } = this;
    await this.suspend();
    reservation.release();
    const release = () => storePath.calls.removeSync(path);
    return { ...digest.finish(), content: { path, storePath }, extension, release };
  }

  /** Writes, syncs and closes the temporary file. Rejects with the first error. */
  async suspend(): Promise<void> {
    const { descriptor, storePath } = this.temporary as PartialFile;
    this.writeOut();
    this.step(async () => {
      await this.flushing;
      storePath.calls.futimesSync(descriptor, FILE_TIME, FILE_TIME);
      if (this.flushes) await storePath.calls.fdatasync(descriptor);
    });
    await this.close();
    if (this.failure) throw this.failure;
  }

  /** Drops the file, and removes its temporary file. */
  async discard(): Promise<void> {
    this.failure ??= new Error('the file was discarded');
    this.releaseMemory();
    if (!this.temporary) return;
    await this.close();
    this.temporary.storePath.calls.removeSync(this.temporary.path);
    this.reservation.release();
  }

  private releaseMemory(): void {
    if (this.temporary) return;
    memoryInUse -= this.held;
    this.chunks = [];
    this.held = 0;
    this.reservation.release();
  }

  private moveToDisk(): void {
    if (this.reservation.storePath.unavailable !== undefined) this.reserveElsewhere();
    const { storePath } = this.reservation;
    const digest = new RunningDigest();
    this.temporary = { ...storePath.openTemporary(randomUUID()), storePath, digest };
    memoryInUse -= this.held;
    for (const chunk of this.chunks) digest.update(chunk);
  }

  private reserveElsewhere(): void {
    this.reservation.release();
    this.reservation = this.reserve(Math.max(this.size, this.announced ?? 0));
    this.reservation.arrive(this.size);
  }

  /** Queues a write of the collected bytes. */
  private writeOut(): Promise<void> {
    const { descriptor, digest, storePath } = this.temporary as PartialFile;
    const { size, crc32 } = digest; // including this write
    const bytes = this.chunks.length === 1 ? (this.chunks[0] as Buffer) : Buffer.concat(this.chunks);
    this.chunks = [];
    this.held = 0;
    return this.step(async () => {
      await writeAll(storePath.calls, descriptor, bytes);
      this.reservation.written(bytes.length);
      this.unflushed += bytes.length;
      if (!this.flushes || this.unflushed < this.flushSize) return;
      this.unflushed = 0;
      await this.flushing;
      this.flushing = storePath.calls
        .fdatasync(descriptor)
        .then(() => this.onStable({ size, crc32 }))
        .catch(this.fail);
    });
  }

  /** Queues an operation on the temporary file. It is skipped if an earlier one failed. */
  private step(run: () => Promise<void>): Promise<void> {
    this.stepsLeft++;
    this.steps = this.steps
      .then(() => (this.failure ? undefined : run()))
      .catch(this.fail)
      .then(() => {
        this.stepsLeft--;
      });
    return this.steps;
  }

  /** Closes the temporary file after all queued steps; later calls return the same promise. */
  private close(): Promise<void> {
    const { descriptor, storePath } = this.temporary as PartialFile;
    const end = () => this.flushing.then(() => storePath.calls.close(descriptor)).catch(this.fail);
    this.closing ??= this.steps.then(end);
    return this.closing;
  }

  private readonly fail = (error: unknown): void => {
    const { storePath, path } = this.temporary as PartialFile;
    this.failure ??= storePath.temporaryFailed(path, error);
  };
}

/** Hashes the chunks one by one: concatenating them first is slower. */
function digestOf(chunks: readonly Buffer[]): { crc32: number; sha256: Buffer } {
  const [only] = chunks;
  // The one-shot hash is the fastest for a single chunk.
  if (chunks.length === 1 && only)
    return { crc32: crc32(only), sha256: Buffer.from(hash('sha256', only, 'hex'), 'hex') };
  const digest = new RunningDigest();
  for (const chunk of chunks) digest.update(chunk);
  return digest.finish();
}
