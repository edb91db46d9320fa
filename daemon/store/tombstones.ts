import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs';
import { writeAllSync } from './write-all.js';

/** Bytes of one tombstone: the key of the deleted ID. */
const TOMBSTONE_LENGTH = 20;

/**
 * The deleted IDs of one store path: an append-only file of 20-byte keys, kept for ever. It is the truth about
 * deletions; the index only mirrors it. A torn last entry (power cut) was never acknowledged and is cut off when opened.
 */
export class Tombstones {
  private constructor(
    readonly descriptor: number,
    /** Which file it is, whatever its name stands for by now. */
    readonly inode: number,
    private entries: number,
  ) {}

  static open(file: string): Tombstones {
    const descriptor = openSync(file, 'a+', 0o644);
    const { size, ino } = fstatSync(descriptor);
    const entries = Math.floor(size / TOMBSTONE_LENGTH);
    if (size % TOMBSTONE_LENGTH !== 0) ftruncateSync(descriptor, entries * TOMBSTONE_LENGTH);
    return new Tombstones(descriptor, ino, entries);
  }

  /** How many there are. */
  get count(): number {
    return this.entries;
  }

  /** Appends all keys or none; durable only after the next sync. */
  append(keys: readonly Uint8Array[]): void {
    const start = this.entries * TOMBSTONE_LENGTH;
    try {
      writeAllSync(this.descriptor, Buffer.concat(keys));
    } catch (error) {
      ftruncateSync(this.descriptor, start);
      throw error;
    }
    this.entries += keys.length;
  }

  /** Takes back what was appended after there were `count`. */
  truncate(count: number): void {
    if (this.entries === count) return;
    ftruncateSync(this.descriptor, count * TOMBSTONE_LENGTH);
    this.entries = count;
  }

  /** The keys from the `from`th on, oldest first. */
  *read(from = 0): Generator<Buffer> {
    const chunk = Buffer.alloc(TOMBSTONE_LENGTH * 4096);
    let position = from * TOMBSTONE_LENGTH;
    for (;;) {
      const length = readSync(this.descriptor, chunk, 0, chunk.length, position);
      const whole = length - (length % TOMBSTONE_LENGTH);
      if (whole === 0) return;
      for (let offset = 0; offset < whole; offset += TOMBSTONE_LENGTH) {
        const key = Buffer.from(chunk.subarray(offset, offset + TOMBSTONE_LENGTH));
        // Blocks that a power cut left unwritten read as zeros; no ID is that.
        if (key.some((byte) => byte !== 0)) yield key;
      }
      position += whole;
    }
  }

  close(): void {
    closeSync(this.descriptor);
  }
}
