import type { Calls } from './calls.js';

/** The error for a write of 0 bytes that reported none: the disk is full. */
function shortWrite(): Error {
  return Object.assign(new Error('short write: no space left on device'), { code: 'ENOSPC' });
}

/** Writes the whole buffer. Throws ENOSPC on a full disk, where Node's writeSync returns a short count without an error. */
export function writeAllSync({ writeSync }: Pick<Calls, 'writeSync'>, file: number, bytes: Uint8Array): void {
  let written = 0;
  while (written < bytes.length) {
    const count = writeSync(file, bytes, written, bytes.length - written);
    if (count === 0) throw shortWrite();
    written += count;
  }
}

/** As `writeAllSync`, asynchronously. */
export async function writeAll({ write }: Pick<Calls, 'write'>, file: number, bytes: Uint8Array): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const { bytesWritten } = await write(file, bytes, written, bytes.length - written);
    if (bytesWritten === 0) throw shortWrite();
    written += bytesWritten;
  }
}
