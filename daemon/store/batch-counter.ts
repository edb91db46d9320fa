import { constants, readSync } from 'node:fs';
import type { Calls } from './calls.js';

const LENGTH = 8;

/**
 * The number of batches that have changed a store path, in a file of 8 bytes (unsigned, big-endian) that is written and
 * synced with each batch. The index's checkpoint holds the durable count. If the two differ at startup, either the index or
 * the store path was restored from an older copy.
 */
export class BatchCounter {
  private constructor(
    readonly descriptor: number,
    private batches: number,
    private readonly calls: Calls,
  ) {}

  /** Opens the file; creates it if it does not exist. */
  static open(file: string, calls: Calls): BatchCounter {
    const descriptor = calls.openSync(file, constants.O_RDWR | constants.O_CREAT, 0o644);
    const bytes = Buffer.alloc(LENGTH);
    const isWhole = readSync(descriptor, bytes, 0, LENGTH, 0) === LENGTH;
    const count = Number(bytes.readBigUInt64BE());
    // A torn or invalid count is read as 0, which differs from the index's.
    return new BatchCounter(descriptor, isWhole && Number.isSafeInteger(count) ? count : 0, calls);
  }

  get count(): number {
    return this.batches;
  }

  /** Sets the count, by default to one more. Durable after the next sync. */
  advance(to = this.batches + 1): void {
    const bytes = Buffer.alloc(LENGTH);
    bytes.writeBigUInt64BE(BigInt(to));
    if (this.calls.writeSync(this.descriptor, bytes, 0, LENGTH, 0) !== LENGTH) throw new Error('short write');
    this.batches = to;
  }
}
