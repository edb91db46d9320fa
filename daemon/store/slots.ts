import { open } from 'node:fs/promises';
import fileId from '../../file-id/file-id.js';
import { FILE_SLOT, LINK_SLOT, SLOT_HEADER, TAIL_LENGTH } from './trunk.js';

const CHUNK = 2 ** 18;

/** A slot in use of a trunk file. Its ID is not in it: source, random bits and directory are missing. */
export interface Slot {
  offset: number;
  /** Bytes. */
  allocated: number;
  size: number;
  crc32: number;
  /** Seconds since 1970. */
  created: number;
  /** The last 7 characters of the name. */
  tail: string;
}

/**
 * The slots in use of a trunk file, ascending. Free space is zeros. Whether the bytes are those of the header is not checked.
 * Each byte is looked at once, and each chunk is read in a turn of the event loop of its own. Throws the error of the file system.
 */
export async function* slotsOf(trunkFile: string): AsyncGenerator<Slot> {
  const file = await open(trunkFile, 'r');
  try {
    const { size: end } = await file.stat();
    const chunk = Buffer.alloc(CHUNK);
    let start = 0;
    while (start + SLOT_HEADER <= end) {
      const { bytesRead } = await file.read(chunk, 0, CHUNK, start);
      const last = bytesRead - SLOT_HEADER;
      if (last < 0) return;
      let position = 0;
      while (position <= last) {
        const slot = slotAt(chunk, position, start, end);
        if (slot) yield slot;
        position += slot?.allocated ?? 1;
      }
      start += position;
    }
  } finally {
    await file.close();
  }
}

/** @param start the offset of the chunk in the trunk file, whose length is `end` */
function slotAt(chunk: Buffer, position: number, start: number, end: number): Slot | undefined {
  const type = chunk[position];
  if (type !== FILE_SLOT && type !== LINK_SLOT) return undefined;
  const allocated = chunk.readUInt32BE(position + 1);
  const size = chunk.readUInt32BE(position + 5);
  const offset = start + position;
  if (allocated < SLOT_HEADER + size || offset + SLOT_HEADER + size > end) return undefined;
  const tail = chunk.toString('latin1', position + SLOT_HEADER - TAIL_LENGTH, position + SLOT_HEADER);
  if (!fileId.isTail(tail)) return undefined;
  const crc32 = chunk.readUInt32BE(position + 9);
  return { offset, allocated, size, crc32, created: chunk.readUInt32BE(position + 13), tail };
}
