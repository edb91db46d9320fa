import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import type { Answer, TestNode } from './node.js';
import { childrenOf, commandLine } from './processes.js';

/** What a browser with AVIF and WebP sends for `<img>`. */
export const BROWSER = 'image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8';

/** A JPEG of one colour. */
export function plainJpeg(width: number, height: number, background = '#c86432'): Promise<Buffer> {
  return sharp({ create: { width, height, channels: 3, background } })
    .jpeg()
    .toBuffer();
}

/** A JPEG whose bytes do not compress, so that a cut-off part of it is not a whole picture. */
export function noisyJpeg(width: number, height: number): Promise<Buffer> {
  const noise = { type: 'gaussian', mean: 128, sigma: 50 } as const;
  return sharp({ create: { width, height, channels: 3, background: '#888', noise } })
    .jpeg({ quality: 90 })
    .toBuffer();
}

/** An animation of frames of 100x80 pixels in these shades of grey. */
export async function animation(format: 'gif' | 'webp', ...shades: number[]): Promise<Buffer> {
  const [width, height] = [100, 80];
  const frames = Buffer.concat(shades.map((shade) => Buffer.alloc(width * height * 3, shade)));
  const raw = { width, height: height * shades.length, channels: 3, pageHeight: height } as const;
  const delay = shades.map(() => 100);
  return sharp(frames, { raw })[format]({ delay, loop: 0 }).toBuffer();
}

function chunk(type: string, data: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const body = Buffer.concat([Buffer.from(type), data]);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}

/** A white PNG of one bit a pixel: 30,000 x 30,000 pixels are a file of some 100 KB. */
export function bomb(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.writeUInt8(1, 8);
  const rows = Buffer.alloc((1 + Math.ceil(width / 8)) * height);
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** Asks for a picture. */
export function picture(node: TestNode, preset: string, id: string, accept = '*/*'): Promise<Answer> {
  return node.get(`/picture/${preset}/${id}`, { accept });
}

/** The value of a counter of pictures by its result; 0 if there was none. */
export async function counted(node: TestNode, result: string): Promise<number> {
  const text = (await node.get('/metrics')).body.toString();
  return Number(new RegExp(`^fidfs_pictures_total\\{result="${result}"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}

/** The processes of a node that make pictures. */
export function pictureProcesses(node: TestNode): number[] {
  return childrenOf(node.daemonPid()).filter((pid) => commandLine(pid).includes('picture-worker.js'));
}
