import { createWriteStream, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { Presets, SingleBar } from 'cli-progress';
import { writeAllSync } from '../store/write-all.js';
import { CommandFailed } from './errors.js';

/** As a shell says it of a program that SIGPIPE ended; Node ignores that signal. */
const UNREAD_STATUS = 141;

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Bytes for people: 1536 is "1.5 KiB". */
export function formatBytes(bytes: number): string {
  let unit = 0;
  let number = bytes;
  while (number >= 1024 && unit < UNITS.length - 1) {
    number /= 1024;
    unit++;
  }
  return `${unit === 0 ? number : number.toFixed(1)} ${UNITS[unit]}`;
}

/** Rows as columns of even width, the first row being the heading. */
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

/** A progress bar on standard error; none when that is not a terminal. */
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

/** Standard output cannot be written, as on a full disk. */
export class OutputFailed extends CommandFailed {
  override name = 'OutputFailed';

  constructor(cause: Error) {
    super(`standard output cannot be written: ${cause.message}`, { cause });
  }
}

/**
 * Prints to standard output, as all commands do but `start`. Throws OutputFailed where that cannot be written. Pipes and terminals
 * fail later; `guardOutput` is for those.
 */
export function print(text: string): void {
  if (process.stdout instanceof Socket) {
    process.stdout.write(text);
    return;
  }
  try {
    // Node's own stream for files loses what a full disk did not take of a write.
    writeAllSync({ writeSync }, 1, Buffer.from(text));
  } catch (error) {
    throw new OutputFailed(error as Error);
  }
}

/** Standard output as a stream of bytes; only where it is `process.stdout` must it not be ended. */
export function standardOutput(): Writable {
  return process.stdout instanceof Socket ? process.stdout : createWriteStream('', { fd: 1, autoClose: false });
}

let isUnreadFine = false;

/** From now on the command goes on when nobody reads its output any more: it serves. */
export function outlastOutput(): void {
  isUnreadFine = true;
}

/** Ends the command, without a word, when nobody reads its output any more, as with `| head`; says what else is wrong with it. */
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
  // What else is wrong with standard error cannot be said anywhere.
  process.stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (!isUnreadFine) endUnread(error);
  });
}

/** A JSON document as it is printed. */
export function json(document: unknown): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Prints one JSON document. */
export function printJson(document: unknown): void {
  print(json(document));
}
