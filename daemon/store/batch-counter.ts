import { constants, readSync } from 'node:fs';
import type { Calls } from './calls.js';

const LENGTH = 8;

/**
 * The number of batches that have changed a store path, and that number when the store was last settled (see
 * `DurableWriter.settle`), in a file of two unsigned, big-endian numbers of 8 bytes. The first is written and synced with each
 * batch. The index's checkpoint holds the durable count. If the two differ at startup, either the index or the store path was
 * restored from an older copy.
 */
export class BatchCounter {
  private constructor(
    readonly descriptor: number,
    private batches: number,
    private settled: number | undefined,
    private readonly calls: Calls,
  ) {}

  /** Opens the file; creates it if it does not exist. */
  static open(file: string, calls: Calls): BatchCounter {
    const descriptor = calls.openSync(file, constants.O_RDWR | constants.O_CREAT, 0o644);
    const bytes = Buffer.alloc(2 * LENGTH);
    const length = readSync(descriptor, bytes, 0, 2 * LENGTH, 0);
    const count = Number(bytes.readBigUInt64BE());
    // Files of earlier versions do not have it.
    const settled = length === 2 * LENGTH ? Number(bytes.readBigUInt64BE(LENGTH)) : undefined;
    // A torn or invalid count is read as 0, which differs from the index's.
    return new BatchCounter(descriptor, length >= LENGTH && Number.isSafeInteger(count) ? count : 0, settled, calls);
  }

  get count(): number {
    return this.batches;
  }

  /** Whether no batch has changed the store path since the store was last settled: the index has exactly this count. */
  get isSettled(): boolean {
    return this.settled === this.batches;
  }

  /** Sets the count, by default to one more. Durable after the next sync. */
  advance(to = this.batches + 1): void {
    this.write(to, 0);
    this.batches = to;
  }

  /**
   * Records that the index durably has this count. Needs no sync: without this number, the index may differ by as much as after a
   * crash.
   */
  settle(count: number): void {
    this.write(count, LENGTH);
    this.settled = count;
  }

  private write(count: number, position: number): void {
    const bytes = Buffer.alloc(LENGTH);
    bytes.writeBigUInt64BE(BigInt(count));
    if (this.calls.writeSync(this.descriptor, bytes, 0, LENGTH, position) !== LENGTH) throw new Error('short write');
  }
}
