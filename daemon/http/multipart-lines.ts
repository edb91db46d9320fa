/** More blanks than this are no boundary line any more. */
const MOST_BLANKS = 1024;

/** The boundary that a Content-Type names; undefined when it names none. */
export function boundaryOf(contentType: string | undefined): string | undefined {
  const [, quoted, bare] = /boundary=(?:"([^"]+)"|([^;]+))/i.exec(contentType ?? '') ?? [];
  return quoted ?? bare;
}

/**
 * Takes away the blanks that may stand behind a boundary (RFC 2046, 5.1.1), which busboy does not know of, from a body that
 * comes in pieces.
 */
export class BoundaryLines {
  private readonly delimiter: Buffer;
  /** The end of what has come, while it may be the beginning of such a line. */
  private held: Buffer;
  private begun = false;

  constructor(boundary: string) {
    this.delimiter = Buffer.from(`\r\n--${boundary}`);
    // The first boundary may be the first line.
    this.held = Buffer.from('\r\n');
  }

  /** What of the body is to be passed on, now that this piece has come. */
  take(chunk: Buffer): Buffer[] {
    return this.passOn(this.held.length === 0 ? chunk : Buffer.concat([this.held, chunk]));
  }

  /** What is left when all has come. */
  end(): Buffer[] {
    return this.withoutFirst(this.held);
  }

  private passOn(bytes: Buffer): Buffer[] {
    const pieces: Buffer[] = [];
    let start = 0;
    let at = bytes.indexOf(this.delimiter);
    while (at >= 0) {
      const end = at + this.delimiter.length;
      const rest = bytes.toString('latin1', end, end + MOST_BLANKS);
      if (rest.length < MOST_BLANKS && /^[ \t]*\r?$/.test(rest)) break;
      const blanks = /^[ \t]+(?=\r\n)/.exec(rest)?.[0].length ?? 0;
      pieces.push(bytes.subarray(start, end));
      start = end + blanks;
      at = bytes.indexOf(this.delimiter, start);
    }
    const open = at >= 0 ? at : this.beginningOfDelimiter(bytes, start);
    this.held = bytes.subarray(open);
    if (open > start) pieces.push(bytes.subarray(start, open));
    return pieces.flatMap((piece) => this.withoutFirst(piece));
  }

  /** Where a delimiter may begin whose rest has not come yet; the end when nowhere. */
  private beginningOfDelimiter(bytes: Buffer, start: number): number {
    let at = bytes.indexOf(0x0d, Math.max(start, bytes.length - this.delimiter.length + 1));
    while (at >= 0 && !this.delimiter.subarray(0, bytes.length - at).equals(bytes.subarray(at))) {
      at = bytes.indexOf(0x0d, at + 1);
    }
    return at >= 0 ? at : bytes.length;
  }

  /** The line break before the first line is ours. */
  private withoutFirst(piece: Buffer): Buffer[] {
    if (this.begun) return piece.length === 0 ? [] : [piece];
    this.begun = true;
    return piece.length === 2 ? [] : [piece.subarray(2)];
  }
}
