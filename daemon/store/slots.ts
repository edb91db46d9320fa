import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { FILE_SLOT, isTail, LINK_SLOT, SLOT_HEADER, TAIL_LENGTH } from './trunk.js';

const CHUNK = 2 ** 20;

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
 * Throws the error of the file system.
 */
export function* slotsOf(trunkFile: string): Generator<Slot> {
  const descriptor = openSync(trunkFile, 'r');
  try {
    const { size: end } = fstatSync(descriptor);
    const chunk = Buffer.alloc(CHUNK);
    let start = 0;
    let length = 0;
    let offset = 0;
    while (offset + SLOT_HEADER <= end) {
      if (offset + SLOT_HEADER > start + length || offset < start) {
        start = offset;
        length = readSync(descriptor, chunk, 0, CHUNK, start);
        if (length < SLOT_HEADER) return;
      }
      const slot = slotAt(chunk.subarray(offset - start, length), offset, end);
      if (slot) {
        yield slot;
        offset += slot.allocated;
      } else offset = nextByte(chunk, offset - start + 1, length) + start;
    }
  } finally {
    closeSync(descriptor);
  }
}

/** The position of the next byte that may begin a slot; `length` if there is none. */
function nextByte(chunk: Buffer, from: number, length: number): number {
  const found = [FILE_SLOT, LINK_SLOT].map((type) => chunk.subarray(0, length).indexOf(type, from));
  return Math.min(...found.map((position) => (position < 0 ? Math.max(from, length - SLOT_HEADER + 1) : position)));
}

function slotAt(bytes: Buffer, offset: number, end: number): Slot | undefined {
  const type = bytes[0];
  if (type !== FILE_SLOT && type !== LINK_SLOT) return undefined;
  const allocated = bytes.readUInt32BE(1);
  const size = bytes.readUInt32BE(5);
  if (allocated < SLOT_HEADER + size || offset + SLOT_HEADER + size > end) return undefined;
  const tail = bytes.toString('latin1', SLOT_HEADER - TAIL_LENGTH, SLOT_HEADER);
  if (!isTail(tail)) return undefined;
  return { offset, allocated, size, crc32: bytes.readUInt32BE(9), created: bytes.readUInt32BE(13), tail };
}
