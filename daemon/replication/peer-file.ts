import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import fileId from '../../file-id/file-id.js';
import { differenceFrom } from '../store/inspect.js';
import { decodeName, decodeRecorded, isSizeInKey, keyOf } from '../store/names.js';
import { type FileRecord, type Records, supersedes } from '../store/records.js';
import { isDeletedFile } from '../store/recover-file.js';
import { ENCLOSED_FILE, type NamedFile } from './page.js';

/** Converts a file in a page to a record. Throws if its ID is not of this group, or its size is not known. */
export function toRecord({ id, sha256, size: told, version }: NamedFile, group: string): FileRecord {
  const { group: itsGroup, name, storePath, directory, size: inName } = decodeRecorded(id);
  if (itsGroup !== group) throw new Error(`${id} is not a file of this group`);
  const size = told ?? inName ?? undefined;
  if (size === undefined) throw new Error(`the size of ${id} is missing`);
  return { key: keyOf(name), name, storePath, directory, size, sha256: Buffer.from(sha256, 'hex'), version };
}

/** Describes a file without its content: for hard links, whose content followers already have, and for comparisons. */
export function named(record: FileRecord, group: string): NamedFile {
  const { key, storePath, directory, name, size, sha256, version } = record;
  return {
    id: fileId.join(group, storePath, directory, name),
    sha256: sha256.toString('hex'),
    ...(isSizeInKey(name, key) && version === undefined ? {} : { size }),
    ...(version === undefined ? {} : { version }),
  };
}

/** Whether this node should fetch a file that a peer has: it was not deleted, and what is recorded here is not as new. */
export function isWanted(file: FileRecord, records: Pick<Records, 'find' | 'isDeleted'>): boolean {
  if (isDeletedFile(file.name, records)) return false;
  const record = records.find(file.key);
  return !record || supersedes(file, record);
}

/** The subject of the alarm that a peer has entries or files that cannot be read. */
export function unreadableSubject(peer: number): string {
  return `entries of node ${peer}`;
}

/** Whether a node understands the record of a file, by the version of the records that it says it does. */
export function isUnderstood(name: string, records: number): boolean {
  return records >= 2 || decodeName(name).kind === 'normal';
}

/** Whether a file is small enough to be enclosed in a page. */
export function isSmall({ size }: Pick<FileRecord, 'size'>): boolean {
  return size <= ENCLOSED_FILE;
}

/** Human-readable difference between a content and its record (size, CRC32 or SHA-256); undefined if they match. */
export function differenceOf(record: FileRecord, content: Buffer): string | undefined {
  const sha256 = Buffer.from(hash('sha256', content, 'hex'), 'hex');
  return differenceFrom(record, { size: content.length, crc32: crc32(content), sha256 });
}
