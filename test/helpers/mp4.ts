/*
 * A small MP4 file: one video track, a sample a second.
 */

/** Bytes of a sample; sample n consists of bytes n. */
export const SAMPLE = 4000;

function box(type: string, ...parts: (Buffer | number)[]): Buffer {
  const content = Buffer.concat(parts.map((part) => (typeof part === 'number' ? uint32(part) : part)));
  return Buffer.concat([uint32(content.length + 8), Buffer.from(type, 'latin1'), content]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Makes a video of that many seconds, which nginx's mp4 module can cut. */
export function mp4(seconds: number): Buffer {
  const zeros = (count: number) => Buffer.alloc(count);
  const samples = Buffer.concat(Array.from({ length: seconds }, (_, number) => Buffer.alloc(SAMPLE, number)));
  const type = box('ftyp', Buffer.from('isom'), 512, Buffer.from('isommp41'));
  // Time scale 1: a unit is a second. Each sample is a chunk of its own, and a key frame.
  const moov = (offset: number): Buffer => {
    const chunks = Array.from({ length: seconds }, (_, number) => offset + number * SAMPLE);
    const entry = box('mp4v', zeros(6), uint32(1).subarray(2), zeros(70));
    const tables = box(
      'stbl',
      box('stsd', 0, 1, entry),
      box('stts', 0, 1, seconds, 1),
      box('stsc', 0, 1, 1, 1, 1),
      box('stsz', 0, SAMPLE, seconds),
      box('stco', 0, seconds, ...chunks),
    );
    const minf = box('minf', box('vmhd', 1, zeros(8)), box('dinf', box('dref', 0, 1, box('url ', 1))), tables);
    const mdia = box(
      'mdia',
      box('mdhd', 0, 0, 0, 1, seconds, 0),
      box('hdlr', 0, 0, Buffer.from('vide'), zeros(13)),
      minf,
    );
    const trak = box('trak', box('tkhd', 1, 0, 0, 1, 0, seconds, zeros(60)), mdia);
    return box('moov', box('mvhd', 0, 0, 0, 1, seconds, zeros(80)), trak);
  };
  const head = type.length + moov(0).length + 8;
  return Buffer.concat([type, moov(head), box('mdat', samples)]);
}
