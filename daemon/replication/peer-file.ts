import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import fileId from '../../file-id/file-id.js';
import { differenceFrom } from '../store/inspect.js';
import type { FileRecord } from '../store/records.js';
import { ENCLOSED_FILE, type PageFile } from './page.js';

/** A file of a peer, as a page names it. Throws when it cannot be one of this group. */
export function toRecord({ id, sha256 }: PageFile, group: string): FileRecord {
  const { group: named, kind, name, storePath, directory } = fileId.decode(id);
  if (named !== group || kind !== 'normal') throw new Error(`${id} is not a file of this group`);
  return { key: fileId.keyOf(name), name, storePath, directory, sha256: Buffer.from(sha256, 'hex') };
}

/** Whether a file travels with the page that names it. */
export function isSmall({ name }: Pick<FileRecord, 'name'>): boolean {
  return (fileId.decodeName(name).size ?? 0) <= ENCLOSED_FILE;
}

/** Why enclosed bytes are not those of their file; undefined when they are. */
export function differenceOf(record: FileRecord, content: Buffer): string | undefined {
  const sha256 = Buffer.from(hash('sha256', content, 'hex'), 'hex');
  return differenceFrom(record, { size: content.length, crc32: crc32(content), sha256 });
}
