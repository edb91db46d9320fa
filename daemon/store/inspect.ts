import { createHash } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import fileId from '../../file-id/file-id.js';
import { counted } from '../words.js';
import { decodeName } from './names.js';
import type { FileRecord } from './records.js';
import { RunningDigest } from './running-digest.js';

/** Properties of the bytes of a file. */
export interface Content {
  size: number;
  crc32: number;
  /** Undefined if it was not requested. */
  sha256: Buffer | undefined;
}

/** Reads a whole file. `progress` gets the size of each chunk in bytes. Rejects with the file system's error. */
export async function readContent(
  path: string,
  { sha256: wanted = false, progress = (_bytes: number) => {} } = {},
): Promise<Content> {
  const sha256 = wanted ? createHash('sha256') : undefined;
  let size = 0;
  let crc = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    size += chunk.length;
    crc = crc32(chunk, crc);
    sha256?.update(chunk);
    progress(chunk.length);
  }
  return { size, crc32: crc, sha256: sha256?.digest() };
}

/** The digest of the first `size` bytes of a file; of fewer if the file is shorter or missing. */
export async function readPrefix(path: string, size: number): Promise<RunningDigest> {
  const digest = new RunningDigest();
  if (size === 0 || !existsSync(path)) return digest;
  for await (const chunk of createReadStream(path, { end: size - 1, highWaterMark: 2 ** 20 })) digest.update(chunk);
  return digest;
}

/** Maximum number of files with several links in the cache. */
const REMEMBERED = 100_000;

/** Reads files for a check of the whole store. Reads each inode once, however many links it has. */
export class ContentReader {
  private readonly known = new Map<string, Content>();

  /** As `readContent`, with the SHA-256. */
  async read(path: string): Promise<Content> {
    const { dev, ino, nlink } = statSync(path);
    if (nlink === 1) return readContent(path, { sha256: true });
    const key = `${dev} ${ino}`;
    const known = this.known.get(key);
    if (known) return known;
    const content = await readContent(path, { sha256: true });
    if (this.known.size >= REMEMBERED) this.known.clear();
    this.known.set(key, content);
    return content;
  }
}

/**
 * Human-readable difference between content and the size and CRC32 in its name. Undefined if there is none, or if the name has
 * neither.
 */
export function differenceFromName(name: string, content: Pick<Content, 'size' | 'crc32'>): string | undefined {
  const { size, crc32: crc } = decodeName(name);
  if (size === null || crc === null) return undefined;
  const difference = differenceFromSize(size, content);
  if (difference !== undefined) return difference;
  if (crc !== content.crc32) return `CRC32 ${fileId.hex32(content.crc32)} instead of ${fileId.hex32(crc)}`;
  return undefined;
}

function differenceFromSize(size: number, content: Pick<Content, 'size'>): string | undefined {
  return size === content.size ? undefined : `${counted(content.size, 'byte')} instead of ${size}`;
}

/** Human-readable difference between content and the name and SHA-256 of a record; undefined if there is none. */
export function differenceFrom(
  { name, sha256, size, version }: Pick<FileRecord, 'name' | 'sha256' | 'size' | 'version'>,
  content: Content,
): string | undefined {
  // With a version the content is not that of the name, even if that contains a size and a CRC32 (a link of FastDFS).
  const difference = version === undefined ? differenceFromName(name, content) : differenceFromSize(size, content);
  if (difference !== undefined) return difference;
  return content.sha256?.equals(sha256) ? undefined : 'another SHA-256 than it should have';
}
