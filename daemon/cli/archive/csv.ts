import { closeSync, constants, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { writeAllSync } from '../../store/write-all.js';
import { linesOf } from '../audit/id-in-line.js';
import { CommandFailed } from '../errors.js';

/*
 * Tables with commas (RFC 4180), and tables that grow row by row and outlast a crash.
 */

/** Characters of a row, and bytes at the end of a table in which its last line feed is looked for; a row is shorter. */
const LONGEST_ROW = 2 ** 20;
const LONGEST_HEADING = 4096;

/** Reads a table row by row. Rejects with CommandFailed if a quote has no end, or a row is too long. */
export async function* rowsOf(input: AsyncIterable<Buffer>): AsyncGenerator<string[]> {
  let open = '';
  for await (const { text, number } of linesOf(input, LONGEST_ROW)) {
    if (text.length === LONGEST_ROW) throw new CommandFailed(`line ${number} of the table is too long`);
    const row = open + text;
    const quotes = row.split('"').length - 1;
    if (quotes % 2 === 1) {
      open = `${row}\n`; // a line feed in quotes
      if (open.length > LONGEST_ROW) break;
      continue;
    }
    open = '';
    const fields = fieldsOf(row.replace(/\r$/, ''));
    if (fields.length > 1 || fields[0] !== '') yield fields;
  }
  if (open !== '') throw new CommandFailed(`a quote is not closed: ${JSON.stringify(open.slice(0, 100))}`);
}

function fieldsOf(row: string): string[] {
  if (!row.includes('"')) return row.split(',');
  const field = /"((?:[^"]|"")*)"|[^,]*/y;
  const fields: string[] = [];
  for (let at = 0; ; at = field.lastIndex + 1) {
    field.lastIndex = at;
    const [text = '', quoted] = field.exec(row) ?? [];
    fields.push(quoted?.replaceAll('""', '"') ?? text);
    if (row[field.lastIndex] !== ',') return fields;
  }
}

/** A row as text, with its line feed. */
export function rowText(fields: readonly (string | number)[]): string {
  const texts = fields.map(String);
  return `${texts.map((text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)).join(',')}\n`;
}

/** The error for a file or a directory that could not be written, mostly because the disk is full. */
export function notWritten(path: string, error: unknown): Error {
  const words = 'make room there, and run the command again: it goes on where it stopped';
  return new Error(`${path} cannot be written: ${(error as Error).message}; ${words}`, { cause: error });
}

/** A file of lines that only grows. After a crash it ends with a whole line. */
export class GrowingFile {
  private readonly descriptor: number;
  private isSynced = true;

  /**
   * Opens or creates it; cuts off a last line that was not written wholly. Throws CommandFailed, also for a file that begins with another
   * heading: it is something else, and must not be changed.
   */
  constructor(
    private readonly file: string,
    heading = '',
  ) {
    try {
      const { O_RDWR, O_CREAT, O_APPEND, O_NOFOLLOW } = constants;
      this.descriptor = openSync(file, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0o644);
    } catch (error) {
      throw new CommandFailed(`cannot be written: ${(error as Error).message}`, { cause: error });
    }
    this.assertHeading(heading);
    const whole = this.lengthOfLines();
    ftruncateSync(this.descriptor, whole);
    if (whole === 0) this.append(heading);
  }

  private assertHeading(heading: string): void {
    const bytes = Buffer.alloc(LONGEST_HEADING);
    const start = bytes.toString('utf8', 0, readSync(this.descriptor, bytes, 0, bytes.length, 0));
    const [line = '', ...more] = start.replace(/^\ufeff/, '').split('\n');
    const isOurs = more.length > 0 ? line.trim() === heading.trim() : heading.startsWith(line);
    if (heading === '' || isOurs) return;
    const words = `${this.file} is there, and does not begin with ${JSON.stringify(heading.trim())}; it is left as it is`;
    throw new CommandFailed(words);
  }

  private lengthOfLines(): number {
    const stats = fstatSync(this.descriptor);
    if (!stats.isFile()) throw new CommandFailed(`${this.file} is not a regular file`);
    const from = Math.max(0, stats.size - LONGEST_ROW);
    const bytes = Buffer.alloc(stats.size - from);
    const length = readSync(this.descriptor, bytes, 0, bytes.length, from);
    const end = bytes.subarray(0, length).lastIndexOf('\n');
    if (end < 0 && from > 0) throw new CommandFailed(`${this.file} has no lines`);
    return from + end + 1;
  }

  /** Throws an error that is no CommandFailed if the line cannot be written; then no part of it is there. */
  append(text: string): void {
    const { size } = fstatSync(this.descriptor);
    try {
      writeAllSync({ writeSync }, this.descriptor, Buffer.from(text));
    } catch (error) {
      ftruncateSync(this.descriptor, size); // the next line would be the rest of this one
      throw notWritten(this.file, error);
    }
    this.isSynced = false;
  }

  /** Makes durable what was appended. */
  sync(): void {
    if (this.isSynced) return;
    fdatasyncSync(this.descriptor);
    this.isSynced = true;
  }

  close(): void {
    this.sync();
    closeSync(this.descriptor);
  }
}
