import type { Calls } from './calls.js';

/** A write that stopped short although no error was reported: what a full disk looks like. */
function shortWrite(): Error {
  return Object.assign(new Error('short write: no space left on device'), { code: 'ENOSPC' });
}

/** Writes the whole buffer; node's own writeSync returns short on a full disk without an error. */
export function writeAllSync({ writeSync }: Pick<Calls, 'writeSync'>, file: number, bytes: Uint8Array): void {
  let written = 0;
  while (written < bytes.length) {
    const count = writeSync(file, bytes, written, bytes.length - written);
    if (count === 0) throw shortWrite();
    written += count;
  }
}

/** Writes the whole buffer at the file's position, off the main thread. */
export async function writeAll({ write }: Pick<Calls, 'write'>, file: number, bytes: Uint8Array): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const { bytesWritten } = await write(file, bytes, written, bytes.length - written);
    if (bytesWritten === 0) throw shortWrite();
    written += bytesWritten;
  }
}
