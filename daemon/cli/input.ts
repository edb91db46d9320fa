import { createReadStream, fstatSync, open as openFile } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { isatty } from 'node:tty';
import { promisify } from 'node:util';
import { CommandFailed } from './errors.js';

const CHANGED =
  'changed while it was read, and is not stored; send it again when nobody writes to it, or what it holds now by "fidfs upload -"';

/** Whether an argument names standard input. */
export function isStandardInput(input: string): boolean {
  return input === '-' || input === '/dev/stdin';
}

/**
 * Standard input as a stream. For other kinds, such as a directory, `process.stdin` is an empty stream; reading the
 * descriptor fails with an error instead.
 */
export function standardInput(): Readable {
  const kind = fstatSync(0);
  if (kind.isFIFO() || kind.isSocket() || isatty(0)) return process.stdin;
  return createReadStream('', { fd: 0, autoClose: false });
}

/** Opens a regular file. Rejects with CommandFailed. */
export async function openRegular(file: string): Promise<FileHandle> {
  const handle = await open(file).catch((error: unknown) => {
    throw unreadable(error);
  });
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw new CommandFailed('is neither a file nor a directory');
}

/** Opens a pipe (such as that of `<(command)`) or a character device. Undefined if it is neither. Rejects with CommandFailed. */
export async function openPipe(file: string): Promise<Readable | undefined> {
  const kind = await stat(file).catch(() => undefined); // opening the file reports the error
  if (!kind?.isFIFO() && !kind?.isCharacterDevice()) return undefined;
  const fd = await promisify(openFile)(file, 'r').catch((error: unknown) => {
    throw unreadable(error);
  });
  // File streams read in the thread pool, and a pipe without data would block its threads.
  return kind.isFIFO() ? new Socket({ fd, readable: true, writable: false }) : createReadStream('', { fd });
}

/**
 * Yields the bytes of a file; reads only when the consumer asks. The last chunk is held back until the file is known to have
 * the announced size and modification time, because the node stores nothing before the body is complete. Throws CommandFailed
 * if the file was changed.
 */
export async function* contentOf(
  handle: FileHandle,
  announced: { size: number; mtimeMs: number },
  progress: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  let length = 0;
  let last: Buffer | undefined;
  for await (const chunk of handle.createReadStream({ autoClose: false, start: 0 })) {
    if (last) {
      progress(last.length);
      yield last;
    }
    last = chunk as Buffer;
    length += last.length;
    if (length > announced.size) break;
  }
  const { mtimeMs } = await handle.stat();
  if (length !== announced.size || mtimeMs !== announced.mtimeMs) throw new CommandFailed(CHANGED);
  if (!last) return;
  progress(last.length);
  yield last;
}

/** Converts a read error to CommandFailed. */
export function unreadable(error: unknown): CommandFailed {
  if (error instanceof CommandFailed) return error;
  return new CommandFailed(`cannot be read: ${(error as Error).message}`, { cause: error });
}
