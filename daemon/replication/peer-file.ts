import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import fileId from '../../file-id/file-id.js';
import { differenceFrom } from '../store/inspect.js';
import type { FileRecord } from '../store/records.js';
import { ENCLOSED_FILE, type PageFile } from './page.js';

/** Converts a file in a page to a record. Throws if its ID is not of this group, or not of a normal file. */
export function toRecord({ id, sha256 }: PageFile, group: string): FileRecord {
  const { group: named, kind, name, storePath, directory } = fileId.decode(id);
  if (named !== group || kind !== 'normal') throw new Error(`${id} is not a file of this group`);
  return { key: fileId.keyOf(name), name, storePath, directory, sha256: Buffer.from(sha256, 'hex') };
}

/** Whether a file is small enough to be enclosed in a page. */
export function isSmall({ name }: Pick<FileRecord, 'name'>): boolean {
  return (fileId.decodeName(name).size ?? 0) <= ENCLOSED_FILE;
}

/** Human-readable difference between a content and its record (size, CRC32 or SHA-256); undefined if they match. */
export function differenceOf(record: FileRecord, content: Buffer): string | undefined {
  const sha256 = Buffer.from(hash('sha256', content, 'hex'), 'hex');
  return differenceFrom(record, { size: content.length, crc32: crc32(content), sha256 });
}
