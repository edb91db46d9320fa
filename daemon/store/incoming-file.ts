import { hash, randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { FILE_TIME } from './layout.js';
import type { Reservation } from './reservation.js';
import { RunningDigest } from './running-digest.js';
import type { StorePath } from './store-path.js';
import { writeAll } from './write-all.js';

/** Up to here a file is held in memory and written in one go. */
export const SMALL_FILE = 512 * 1024;
/** What all files under way may hold in memory together; beyond it they go to disk however small. */
const MEMORY_FOR_ALL = 64 * 2 ** 20;
const WRITE_SIZE = 2 ** 20;
/** A growing file is flushed in steps of this many bytes, so that no batch has to wait for much of it. */
const FLUSH_SIZE = 32 * 2 ** 20;
/** More often where a client waits for each piece: then little is left to flush at its end. */
const RESUMABLE_FLUSH_SIZE = 2 * 2 ** 20;

const DONE = Promise.resolve();

let memoryInUse = 0;

/** A file whose bytes have all arrived, in memory or in a temporary file, but which has no ID yet. */
export interface ReceivedFile {
  size: number;
  crc32: number;
  sha256: Buffer;
  content: readonly Buffer[] | { path: string; storePath: StorePath };
  /** Where one in memory has room. */
  room?: Reservation;
  /** For the ID's name; may be empty. */
  extension: string;
  /** Gives back memory and room, removes the temporary file if it is still there. To be called whatever happens. */
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
 *
 * Whatever is done to the temporary file is a step of one queue: each begins when the one before has ended, and closing
 * is the last. So nothing can reach the file, or another one that got its descriptor, behind the end.
 */
export class IncomingFile {
  private size = 0;
  private chunks: Buffer[] = [];
  private held = 0;
  private temporary: PartialFile | undefined;
  /** Resolves when all steps so far have ended; never rejects. */
  private steps = DONE;
  private stepsLeft = 0;
  /** A flush, which goes on beside later writes. Never rejects. */
  private flushing = DONE;
  private closing: Promise<void> | undefined;
  private unflushed = 0;
  private flushSize = FLUSH_SIZE;
  private onStable: OnStable = () => {};
  /** The first failure: no step begins after it, and every later call throws it. */
  private failure: unknown;
  private room: Reservation;

  /**
   * Throws what `reserve` throws.
   * @param reserve gives room to so many bytes; throws when there is none
   * @param announced the size in bytes, when known
   * @param flushes whether to flush as the file grows (not with `sync: off`)
   */
  constructor(
    private readonly reserve: (bytes: number) => Reservation,
    private readonly announced: number | undefined,
    private readonly flushes: boolean,
  ) {
    this.room = reserve(announced ?? 0);
  }

  /**
   * Goes on with a file of which a part is there; to be ended by `suspend`.
   * @param room where what is to come has room; stays the caller's
   * @param onStable is told how much of the file is on stable storage, as it grows
   */
  static resume(partial: PartialFile, room: Reservation, flushes: boolean, onStable: OnStable): IncomingFile {
    const file = new IncomingFile(() => room, undefined, flushes);
    file.temporary = partial;
    file.size = partial.digest.size;
    file.flushSize = RESUMABLE_FLUSH_SIZE;
    file.onStable = onStable;
    return file;
  }

  /**
   * Takes the next bytes. When it returns a promise, no more should come before that has resolved. Throws when there is no
   * room for them, or an earlier write failed.
   */
  write(chunk: Buffer): Promise<void> | undefined {
    if (this.failure) throw this.failure;
    if (this.closing) throw new Error('bytes came after the end of their file');
    this.room.arrive(chunk.length);
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
    const before = this.stepsLeft > 0 ? this.steps : undefined;
    this.writeOut();
    return before;
  }

  /** All bytes are here. */
  async finish(extension: string): Promise<ReceivedFile> {
    if (!this.temporary) {
      if (this.failure) throw this.failure;
      const { size, chunks, room } = this;
      const release = () => this.releaseMemory();
      return { size, ...digestOf(chunks), content: chunks, room, extension, release };
    }
    const { path, storePath, digest } = this.temporary;
    const { room } = this;
    await this.suspend();
    room.release();
    const release = () => storePath.calls.removeSync(path);
    return { ...digest.finish(), content: { path, storePath }, extension, release };
  }

  /** Ends for now: all that came is on stable storage. Rejects when any of it could not be written. */
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

  /** The bytes are not wanted any more: nothing of them stays. */
  async discard(): Promise<void> {
    this.failure ??= new Error('the file was discarded');
    this.releaseMemory();
    if (!this.temporary) return;
    await this.close();
    this.temporary.storePath.calls.removeSync(this.temporary.path);
    this.room.release();
  }

  private releaseMemory(): void {
    if (this.temporary) return;
    memoryInUse -= this.held;
    this.chunks = [];
    this.held = 0;
    this.room.release();
  }

  private moveToDisk(): void {
    if (this.room.storePath.unavailable !== undefined) this.moveToAnotherDisk();
    const { storePath } = this.room;
    const digest = new RunningDigest();
    this.temporary = { ...storePath.openTemporary(randomUUID()), storePath, digest };
    memoryInUse -= this.held;
    for (const chunk of this.chunks) digest.update(chunk);
  }

  private moveToAnotherDisk(): void {
    this.room.release();
    this.room = this.reserve(Math.max(this.size, this.announced ?? 0));
    this.room.arrive(this.size);
  }

  /** The next step writes what has been collected. */
  private writeOut(): Promise<void> {
    const { descriptor, digest, storePath } = this.temporary as PartialFile;
    const { size, crc32 } = digest; // of all that is written with this
    const bytes = this.chunks.length === 1 ? (this.chunks[0] as Buffer) : Buffer.concat(this.chunks);
    this.chunks = [];
    this.held = 0;
    return this.step(async () => {
      await writeAll(storePath.calls, descriptor, bytes);
      this.room.written(bytes.length);
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

  /** Does something to the temporary file after all that was asked for before; not at all when that failed. */
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

  /** Closes the temporary file, once, when nothing is done to it any more. */
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
