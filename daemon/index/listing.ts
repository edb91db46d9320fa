import type Database from 'better-sqlite3';
import type { FileRecord } from '../store/records.js';
import { type FileRow, toRecord } from './file-row.js';

/** Rows that a statement reads at once of one source. */
const CHUNK = 128;
/** Length of a source, and of a source with a second, at the beginning of a key. */
const SOURCE = 4;
const SECOND = 8;

export type Order = 'newest' | 'oldest';

/** Which files to list, and in which order. */
export interface Range {
  order: Order;
  /** Seconds since 1970: files created in it or later. */
  from?: number | undefined;
  /** Seconds since 1970: files created before it. */
  to?: number | undefined;
  /** A position (see `positionOf`): files that follow it in the order. */
  after?: Buffer | undefined;
}

/** Where a file is in a list by time: its key with the second before the source, 20 bytes. Applied to a position, returns the key. */
export function positionOf(key: Buffer): Buffer {
  return Buffer.concat([key.subarray(SOURCE, SECOND), key.subarray(0, SOURCE), key.subarray(SECOND)]);
}

/**
 * Lists the files by time. Keys sort by source first, and then by time: so the sources are found by one look-up each, and their ranges
 * are merged. This needs no further index, which each upload would have to write.
 */
export class Listing {
  private readonly tables;

  constructor(database: Database.Database) {
    this.tables = ['file', 'missing'].map((table) => {
      const select = (order: string) =>
        database.prepare<[Buffer, Buffer], FileRow>(
          `SELECT key, place, tail, sha256, size, version FROM ${table}
           WHERE key > ? AND key < ? ORDER BY key ${order} LIMIT ${CHUNK}`,
        );
      const next = database.prepare<[Buffer], { key: Buffer }>(
        `SELECT key FROM ${table} WHERE key > ? ORDER BY key LIMIT 1`,
      );
      return { next, oldest: select('ASC'), newest: select('DESC') };
    });
  }

  /**
   * Yields the records of a range in its order, those of files that are missing here (another node has them), too. Reads ahead up to
   * `CHUNK` rows of each source. The index must not be changed meanwhile.
   */
  *scan(range: Range): Generator<FileRecord> {
    const { order } = range;
    const sign = order === 'oldest' ? 1 : -1;
    const streams = this.tables.flatMap((table) =>
      [...this.sourcesOf(table.next)].flatMap((source) => {
        const stream = new Stream(table[order], boundsOf(source, range), order);
        return stream.head ? [stream] : [];
      }),
    );
    let last: Buffer | undefined;
    for (;;) {
      let first: Stream | undefined;
      for (const stream of streams) {
        if (stream.position && (!first?.position || sign * stream.position.compare(first.position) < 0)) first = stream;
      }
      if (!first?.head) return;
      const row = first.head;
      first.advance();
      // A file that is here, and of which a later version is missing, is in both tables.
      if (last && row.key.equals(last)) continue;
      last = row.key;
      yield toRecord(row);
    }
  }

  private *sourcesOf(next: Database.Statement<[Buffer], { key: Buffer }>): Generator<Buffer> {
    for (let row = next.get(Buffer.alloc(0)); row; ) {
      const source = row.key.subarray(0, SOURCE);
      yield source;
      row = next.get(Buffer.concat([source, AFTER]));
    }
  }
}

/** Follows any beginning of a key: the result is greater than each key with this beginning. */
const AFTER = Buffer.alloc(17, 0xff);

/** The keys between which the files of a source in a range are; neither of the two is in it. */
function boundsOf(source: Buffer, { order, from, to, after }: Range): [lower: Buffer, upper: Buffer] {
  let lower = from === undefined ? source : startOf(source, from);
  let upper = to === undefined ? Buffer.concat([source, AFTER]) : startOf(source, to);
  if (after) {
    const key = positionOf(after);
    const second = key.readUInt32BE(SOURCE);
    const sooner = source.compare(key.subarray(0, SOURCE));
    const bound =
      sooner === 0 ? key : sooner > 0 ? startOf(source, second) : Buffer.concat([startOf(source, second), AFTER]);
    if (order === 'oldest') lower = bound.compare(lower) > 0 ? bound : lower;
    else upper = bound.compare(upper) < 0 ? bound : upper;
  }
  return [lower, upper];
}

/** A value less than the keys of a source and a second, and greater than those of earlier seconds. */
function startOf(source: Buffer, second: number): Buffer {
  if (second > 0xffffffff) return Buffer.concat([source, AFTER]);
  const start = Buffer.alloc(SECOND);
  source.copy(start);
  start.writeUInt32BE(second, SOURCE);
  return start;
}

/** The rows of one source in one table, read in chunks. */
class Stream {
  head: FileRow | undefined;
  /** Of `head`. */
  position: Buffer | undefined;
  private rows: FileRow[] = [];
  private next = 0;

  constructor(
    private readonly select: Database.Statement<[Buffer, Buffer], FileRow>,
    private bounds: [lower: Buffer, upper: Buffer],
    private readonly order: Order,
  ) {
    this.read();
    this.advance();
  }

  advance(): void {
    const last = this.rows.at(-1);
    if (last && this.next === CHUNK) {
      const [lower, upper] = this.bounds;
      this.bounds = this.order === 'oldest' ? [last.key, upper] : [lower, last.key];
      this.read();
    }
    this.head = this.rows[this.next++];
    this.position = this.head && positionOf(this.head.key);
  }

  private read(): void {
    this.rows = this.select.all(...this.bounds);
    this.next = 0;
  }
}
