import { ENCLOSED_FILE } from './page.js';

/** What a piece may hold on to beyond its own bytes: the head of its request. */
const SLACK = 16 * 1024;

/** What is held at most, in bytes. */
const CAPACITY = 8 * 2 ** 20;

/**
 * The bytes of the newest uploads: followers ask for them within milliseconds, and to read them again costs as much as to
 * write them.
 */
export class RecentContents {
  private readonly contents = new Map<string, { pieces: readonly Buffer[]; size: number }>();
  private bytes = 0;

  add(key: Buffer, pieces: readonly Buffer[]): void {
    const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (size > ENCLOSED_FILE) return;
    this.contents.set(key.toString('latin1'), { pieces: pieces.map(withoutRest), size });
    this.bytes += size;
    for (const [oldest, content] of this.contents) {
      if (this.bytes <= CAPACITY) break;
      this.contents.delete(oldest);
      this.bytes -= content.size;
    }
  }

  find(key: Buffer): readonly Buffer[] | undefined {
    return this.contents.get(key.toString('latin1'))?.pieces;
  }
}

/** A piece of a much larger body would keep all of that in memory. */
function withoutRest(piece: Buffer): Buffer {
  return piece.buffer.byteLength > piece.length + SLACK ? Buffer.from(piece) : piece;
}
