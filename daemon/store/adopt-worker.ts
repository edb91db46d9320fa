/*
 * A thread that reads files for `fidfs adopt`, and computes what their records need.
 */
import { createHash, hash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { crc32 } from 'node:zlib';
import type { ReadFile, ToRead } from './file-readers.js';

/** Files up to this size are read with one call. */
const WHOLE = 2 ** 20;

const buffer = Buffer.allocUnsafe(WHOLE);

function read({ path, offset, size: wanted, keep }: ToRead): ReadFile {
  const descriptor = openSync(path, 'r');
  try {
    const { size: length, mtimeMs, ino } = fstatSync(descriptor);
    const size = wanted ?? length;
    if (size <= WHOLE) {
      const bytes = buffer.subarray(0, readFully(descriptor, size, offset));
      const sha256 = hash('sha256', bytes, 'hex');
      const content = keep ? new Uint8Array(bytes) : undefined;
      return { size: bytes.length, crc32: crc32(bytes), sha256, mtimeMs, ino, content };
    }
    const sha256 = createHash('sha256');
    let crc = 0;
    let done = 0;
    while (done < size) {
      const count = readFully(descriptor, Math.min(WHOLE, size - done), offset + done);
      if (count === 0) break;
      const bytes = buffer.subarray(0, count);
      crc = crc32(bytes, crc);
      sha256.update(bytes);
      done += count;
    }
    return { size: done, crc32: crc, sha256: sha256.digest('hex'), mtimeMs, ino, content: undefined };
  } finally {
    closeSync(descriptor);
  }
}

/** Reads up to `size` bytes into the buffer. Returns their number, less at the end of the file. */
function readFully(descriptor: number, size: number, position: number): number {
  let done = 0;
  while (done < size) {
    const count = readSync(descriptor, buffer, done, size - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

parentPort?.on('message', (wanted: readonly ToRead[]) => {
  const found = wanted.map((one) => {
    try {
      return read(one);
    } catch (error) {
      return { reason: (error as Error).message };
    }
  });
  parentPort?.postMessage(found);
});
