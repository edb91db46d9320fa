import { createWriteStream, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { Presets, SingleBar } from 'cli-progress';
import { writeAllSync } from '../store/write-all.js';
import { CommandFailed } from './errors.js';

/** The status that a shell reports for a process ended by SIGPIPE (128 + 13); Node ignores that signal. */
const UNREAD_STATUS = 141;

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Formats bytes: 1536 is "1.5 KiB". */
export function formatBytes(bytes: number): string {
  let unit = 0;
  let number = bytes;
  while (number >= 1024 && unit < UNITS.length - 1) {
    number /= 1024;
    unit++;
  }
  return `${unit === 0 ? number : number.toFixed(1)} ${UNITS[unit]}`;
}

/** Formats rows as aligned columns; the first row is the heading. */
export function formatTable(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const line = (row: string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return `${rows.map(line).join('\n')}\n`;
}

const bars = new Set<SingleBar>();

/** Creates a progress bar on standard error; undefined if that is not a terminal. */
export function progressBar(format: string, total: number): SingleBar | undefined {
  if (!process.stderr.isTTY) return undefined;
  const bar = new SingleBar(
    { format, stream: process.stderr, hideCursor: true, clearOnComplete: true },
    Presets.shades_classic,
  );
  bar.start(total, 0, { files: 0, size: '' });
  bars.add(bar);
  return bar;
}

/** Standard output cannot be written, for example on a full disk. */
export class OutputFailed extends CommandFailed {
  override name = 'OutputFailed';

  constructor(cause: Error) {
    super(`standard output cannot be written: ${cause.message}`, { cause });
  }
}

/**
 * Writes to standard output; all commands but `start` use it. Throws OutputFailed if a file cannot be written. Errors of
 * pipes and terminals are asynchronous and handled by `guardOutput`.
 */
export function print(text: string): void {
  if (process.stdout instanceof Socket) {
    process.stdout.write(text);
    return;
  }
  try {
    // Node's file stream loses the rest of a partial write.
    writeAllSync({ writeSync }, 1, Buffer.from(text));
  } catch (error) {
    throw new OutputFailed(error as Error);
  }
}

/** Standard output as a stream. The caller must not end it if it is `process.stdout`. */
export function standardOutput(): Writable {
  return process.stdout instanceof Socket ? process.stdout : createWriteStream('', { fd: 1, autoClose: false });
}

let isUnreadFine = false;

/** From now on a closed standard output does not end the process: `start` keeps serving. */
export function outlastOutput(): void {
  isUnreadFine = true;
}

/**
 * Installs the error handlers of standard output and standard error. A closed pipe, as with `| head`, ends the process
 * silently; other errors are printed and set the exit status to 1.
 */
export function guardOutput(): void {
  const endUnread = (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') return;
    for (const bar of bars) bar.stop(); // the cursor is hidden
    process.exit(UNREAD_STATUS);
  };
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (isUnreadFine) return;
    endUnread(error);
    process.stderr.write(`fidfs: ${new OutputFailed(error).message}\n`);
    process.exitCode = 1;
  });
  // Other errors of standard error cannot be reported anywhere.
  process.stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (!isUnreadFine) endUnread(error);
  });
}

/** Formats a JSON document for printing. */
export function json(document: unknown): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Prints one JSON document. */
export function printJson(document: unknown): void {
  print(json(document));
}
