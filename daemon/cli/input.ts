import { createReadStream, fstatSync, open as openFile } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { isatty } from 'node:tty';
import { promisify } from 'node:util';
import { CommandFailed } from './errors.js';

const CHANGED =
  'changed while it was read, and is not stored; send it again when nobody writes to it, or what it holds now by "fidfs upload -"';

/** Whether standard input is meant by what is named. */
export function isStandardInput(input: string): boolean {
  return input === '-' || input === '/dev/stdin';
}

/** Standard input. What Node does not know, such as a directory, is an empty stream to it: those are read as files are, and fail. */
export function standardInput(): Readable {
  const kind = fstatSync(0);
  if (kind.isFIFO() || kind.isSocket() || isatty(0)) return process.stdin;
  return createReadStream('', { fd: 0, autoClose: false });
}

/** Opens a file that can be read from any place. */
export async function openRegular(file: string): Promise<FileHandle> {
  const handle = await open(file).catch((error: unknown) => {
    throw unreadable(error);
  });
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw new CommandFailed('is neither a file nor a directory');
}

/** Opens what can be read once, as standard input is: a pipe, such as that of `<(command)`, or a device. Undefined when it is neither. */
export async function openPipe(file: string): Promise<Readable | undefined> {
  const kind = await stat(file).catch(() => undefined); // who opens it is told why that fails
  if (!kind?.isFIFO() && !kind?.isCharacterDevice()) return undefined;
  const fd = await promisify(openFile)(file, 'r').catch((error: unknown) => {
    throw unreadable(error);
  });
  // Reading from a pipe by threads would keep them all waiting.
  return kind.isFIFO() ? new Socket({ fd, readable: true, writable: false }) : createReadStream('', { fd });
}

/**
 * The bytes of a file, as many as were announced. Nothing is read before it is asked for. The last bytes are given out when the file
 * is known to have no more, and not to have been written to: until they come the node stores nothing. Else it throws.
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

/** An error of reading, for people. */
export function unreadable(error: unknown): CommandFailed {
  if (error instanceof CommandFailed) return error;
  return new CommandFailed(`cannot be read: ${(error as Error).message}`, { cause: error });
}
