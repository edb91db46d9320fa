import { isSizeInKey, nameOf, sizeInKey, tailOf } from '../store/names.js';
import type { FileRecord } from '../store/records.js';

/** A row of the table `file`. */
export interface FileRow {
  /** 20 bytes; see store/names.ts. */
  key: Buffer;
  /** Store path << 16 | directory. */
  place: number;
  /** The part of the name after the 27 characters that encode the key; the whole name if the key is derived from it. */
  tail: string;
  /** 32 bytes. */
  sha256: Buffer;
  /** Bytes; null if the key contains it. */
  size: number | null;
  /** Null for a file whose name determines its content. */
  version: number | null;
}

/** The values of a row, in the order of the table's columns. */
export type FileValues = [Buffer, number, string, Buffer, number | null, number | null];

export function toRecord(row: FileRow): FileRecord {
  const { key, place, tail, sha256, version } = row;
  const location = { name: nameOf(key, tail), storePath: place >>> 16, directory: place & 0xffff };
  return { key, ...location, size: sizeOf(row), sha256, version: version ?? undefined };
}

export function sizeOf({ key, size }: Pick<FileRow, 'key' | 'size'>): number {
  return size ?? sizeInKey(key);
}

export function toValues({ key, name, storePath, directory, sha256, size, version }: FileRecord): FileValues {
  const place = (storePath << 16) | directory;
  return [
    key,
    place,
    tailOf(name, key),
    sha256,
    isSizeInKey(name, key) && size === sizeInKey(key) ? null : size,
    version ?? null,
  ];
}
