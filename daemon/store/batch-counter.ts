import { constants, readSync } from 'node:fs';
import type { Calls } from './calls.js';

const LENGTH = 8;

/**
 * How many batches have changed a store path: 8 bytes in a file of its own, big-endian, written with each batch and synced
 * with it. The index's checkpoint has the number that is known to be durable, so a start sees when the index and the store
 * path are not of the same moment: when one of them was put back to an older copy.
 */
export class BatchCounter {
  private constructor(
    readonly descriptor: number,
    private batches: number,
    private readonly calls: Calls,
  ) {}

  /** Opens the file, making it when there is none. */
  static open(file: string, calls: Calls): BatchCounter {
    const descriptor = calls.openSync(file, constants.O_RDWR | constants.O_CREAT, 0o644);
    const bytes = Buffer.alloc(LENGTH);
    const isWhole = readSync(descriptor, bytes, 0, LENGTH, 0) === LENGTH;
    const count = Number(bytes.readBigUInt64BE());
    // What is torn, or was never a count, differs from what the index says.
    return new BatchCounter(descriptor, isWhole && Number.isSafeInteger(count) ? count : 0, calls);
  }

  get count(): number {
    return this.batches;
  }

  /** Counts one more batch, or as many as there are then. Durable after the next sync. */
  advance(to = this.batches + 1): void {
    const bytes = Buffer.alloc(LENGTH);
    bytes.writeBigUInt64BE(BigInt(to));
    if (this.calls.writeSync(this.descriptor, bytes, 0, LENGTH, 0) !== LENGTH) throw new Error('short write');
    this.batches = to;
  }
}
