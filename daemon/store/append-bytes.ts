import { constants, createReadStream, statSync } from 'node:fs';
import { storeError } from './errors.js';
import type { ReceivedFile } from './incoming-file.js';
import { FILE_TIME, filePath } from './layout.js';
import type { FileRecord } from './records.js';
import { Reservation } from './reservation.js';
import type { RunningDigest } from './running-digest.js';
import type { StorePath } from './store-path.js';
import { writeAllSync } from './write-all.js';

/** Bytes read at a time. */
const CHUNK = 2 ** 20;

/** What is appended: the bytes of a received file, or this many zeros. */
export type Piece = ReceivedFile | { zeros: number };

interface Append {
  /** The digest of the recorded content; that of the new content afterwards. */
  digest: RunningDigest;
  /** The version of the new content. */
  version: number;
  syncs: boolean;
}

/**
 * Writes a piece behind the recorded content of a file, and syncs it. Rejects with a StoreError, `full` if the piece does not fit above
 * the reserve; the caller then calls `cutOff`.
 */
export async function appendBytes(
  path: StorePath,
  record: FileRecord,
  piece: Piece,
  { digest, version, syncs }: Append,
): Promise<void> {
  const { calls } = path;
  const fullPath = filePath(path.root, record.directory, record.name);
  path.fileSystem.assertSound();
  const room = roomFor(path, piece);
  let descriptor: number | undefined;
  try {
    descriptor = calls.openSync(fullPath, constants.O_WRONLY | constants.O_APPEND);
    // What an earlier append may have left.
    calls.ftruncateSync(descriptor, record.size);
    if ('zeros' in piece) {
      // A hole takes no space.
      calls.ftruncateSync(descriptor, record.size + piece.zeros);
      for await (const chunk of chunksOf(piece)) digest.update(chunk);
    } else {
      for await (const chunk of chunksOf(piece)) {
        writeAllSync(calls, descriptor, chunk);
        room.written(chunk.length);
        digest.update(chunk);
      }
    }
    calls.futimesSync(descriptor, version / 1000, version / 1000);
    if (syncs) await calls.fdatasync(descriptor);
  } catch (error) {
    throw path.temporaryFailed(fullPath, error);
  } finally {
    room.release();
    if (descriptor !== undefined) calls.closeSync(descriptor);
  }
}

/** Reserves space for a piece, which has a reservation of its own if it is held in memory. Throws a StoreError (full). */
function roomFor(path: StorePath, piece: Piece): Reservation {
  if (!('zeros' in piece) && piece.reservation) return piece.reservation;
  // Zeros take no space here, but they do on the nodes that copy the file.
  const size = 'zeros' in piece ? piece.zeros : piece.size;
  const room = new Reservation(path, size);
  room.arrive(size);
  return room;
}

/**
 * Cuts off what lies behind the recorded content of a file. To be called only while the record is the current one: the name may have
 * another file otherwise. Does not throw: the next append and the next start do it, too.
 */
export function cutOff(path: StorePath, record: FileRecord, warn: (message: string, error: unknown) => void): void {
  const fullPath = filePath(path.root, record.directory, record.name);
  try {
    const found = statSync(fullPath, { throwIfNoEntry: false });
    if (!found) return; // deleted meanwhile
    if (found.size > record.size) path.calls.truncateSync(fullPath, record.size);
    const time = (record.version ?? FILE_TIME * 1000) / 1000;
    path.calls.utimesSync(fullPath, time, time);
  } catch (error) {
    const cause = storeError('truncate', fullPath, error);
    warn('bytes that do not count could not be cut off; the next append or the next start does it', cause);
  }
}

/** The bytes of a piece, in parts; the event loop runs in between. */
export async function* chunksOf(piece: Piece): AsyncGenerator<Buffer> {
  if ('zeros' in piece) {
    const zeros = Buffer.alloc(Math.min(CHUNK, piece.zeros));
    for (let left = piece.zeros; left > 0; left -= zeros.length) {
      yield zeros.subarray(0, Math.min(left, zeros.length));
      await new Promise(setImmediate);
    }
    return;
  }
  const { content } = piece;
  if ('storePath' in content) yield* createReadStream(content.path, { highWaterMark: CHUNK }) as AsyncIterable<Buffer>;
  else yield* content;
}
