import { fstatSync, readSync } from 'node:fs';
import { type Calls, realCalls } from './calls.js';
import { writeAllSync } from './write-all.js';

/** Bytes of one tombstone: the key of the deleted ID. */
const TOMBSTONE_LENGTH = 20;

/**
 * The deleted IDs of one store path: an append-only file of 20-byte keys, which are never removed. It is the authoritative
 * record of deletions; the index holds a copy. A torn last entry (power cut) was not acknowledged and is truncated on opening.
 */
export class Tombstones {
  /** Whether the file may contain more than `entries`, because truncating it failed. */
  private isRagged = false;

  private constructor(
    readonly descriptor: number,
    /** The inode of the open file; its name may refer to another file later. */
    readonly inode: number,
    private entries: number,
    private readonly calls: Calls,
  ) {}

  static open(file: string, calls: Calls = realCalls): Tombstones {
    const descriptor = calls.openSync(file, 'a+', 0o644);
    const { size, ino } = fstatSync(descriptor);
    const entries = Math.floor(size / TOMBSTONE_LENGTH);
    if (size % TOMBSTONE_LENGTH !== 0) calls.ftruncateSync(descriptor, entries * TOMBSTONE_LENGTH);
    return new Tombstones(descriptor, ino, entries, calls);
  }

  /** Number of tombstones. */
  get count(): number {
    return this.entries;
  }

  /** Appends all keys or none, and then throws the error of the call. Durable after the next sync. */
  append(keys: readonly Uint8Array[]): void {
    if (this.isRagged) this.truncateFile(this.entries);
    this.isRagged = true;
    writeAllSync(this.calls, this.descriptor, Buffer.concat(keys));
    this.isRagged = false;
    this.entries += keys.length;
  }

  /** Removes the tombstones after the first `count`. */
  truncate(count: number): void {
    if (this.entries !== count || this.isRagged) this.truncateFile(count);
  }

  private truncateFile(count: number): void {
    // Set first: if truncating the file fails, it is repeated before the next append.
    this.entries = count;
    this.isRagged = true;
    this.calls.ftruncateSync(this.descriptor, count * TOMBSTONE_LENGTH);
    this.isRagged = false;
  }

  /** Yields the keys from index `from` on, oldest first. */
  *read(from = 0): Generator<Buffer> {
    const chunk = Buffer.alloc(TOMBSTONE_LENGTH * 4096);
    let position = from * TOMBSTONE_LENGTH;
    for (;;) {
      const length = readSync(this.descriptor, chunk, 0, chunk.length, position);
      const whole = length - (length % TOMBSTONE_LENGTH);
      if (whole === 0) return;
      for (let offset = 0; offset < whole; offset += TOMBSTONE_LENGTH) {
        const key = Buffer.from(chunk.subarray(offset, offset + TOMBSTONE_LENGTH));
        // Blocks that a power cut left unwritten read as zeros, which is no valid key.
        if (key.some((byte) => byte !== 0)) yield key;
      }
      position += whole;
    }
  }

  close(): void {
    this.calls.closeSync(this.descriptor);
  }
}
