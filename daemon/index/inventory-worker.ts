/*
 * The thread behind `Inventory`: reads all keys through a connection of its own, and digests them.
 */
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import type { InventoryScope } from './inventory.js';
import { inThread } from './thread.js';

/** Digests of sets of keys: the sum, in two halves of 32 bits, of a mix of each key. */
class Digests {
  private readonly places = new Map<number, number>();
  private readonly names: number[] = [];
  private readonly low: number[] = [];
  private readonly high: number[] = [];

  /** @param name at most 53 bits */
  add(name: number, key: Buffer): void {
    let place = this.places.get(name);
    if (place === undefined) {
      place = this.names.length;
      this.places.set(name, place);
      this.names.push(name);
      this.low.push(0);
      this.high.push(0);
    }
    // Sets are compared, so the order must not count: sums of well-mixed numbers.
    let low = 0x9e3779b9;
    let high = 0x85ebca6b;
    for (let offset = 0; offset < 20; offset += 4) {
      const word = key.readInt32LE(offset);
      low = Math.imul(low ^ word, 0xcc9e2d51);
      low ^= low >>> 15;
      high = Math.imul(high + word, 0x1b873593);
      high ^= (high >>> 13) ^ low;
    }
    this.low[place] = ((this.low[place] as number) + Math.imul(low, 0x2c1b3c6d)) >>> 0;
    this.high[place] = ((this.high[place] as number) + Math.imul(high, 0x297a2d39)) >>> 0;
  }

  /** 16 bytes each, in the order of their names: name, digest. */
  toBuffer(): Buffer {
    const order = this.names
      .map((_, place) => place)
      .sort((a, b) => (this.names[a] as number) - (this.names[b] as number));
    const buffer = Buffer.alloc(order.length * 16);
    for (const [row, place] of order.entries()) {
      buffer.writeDoubleBE(this.names[place] as number, row * 16);
      buffer.writeUInt32BE(this.low[place] as number, row * 16 + 8);
      buffer.writeUInt32BE(this.high[place] as number, row * 16 + 12);
    }
    return buffer;
  }
}

inThread(() => {
  const { database: file, scope } = workerData as { database: string; scope: InventoryScope };
  const database = new Database(file, { readonly: true });
  try {
    const files = new Digests();
    const select = `SELECT place, key FROM file ${scope === 'all' ? '' : 'LIMIT 0'}`;
    for (const [place, key] of database.prepare<[], [number, Buffer]>(select).raw().iterate()) {
      files.add(place, key);
    }
    const tombstones = new Digests();
    for (const [key] of database.prepare<[], [Buffer]>('SELECT key FROM tombstone').raw().iterate()) {
      // Source and, in steps of 65,536 seconds, creation: neighbours in the table are neighbours here.
      tombstones.add(key.readUInt32BE(0) * 65536 + key.readUInt16BE(4), key);
    }
    parentPort?.postMessage({ files: files.toBuffer(), tombstones: tombstones.toBuffer() });
  } finally {
    database.close();
  }
});
