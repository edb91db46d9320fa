import { join } from 'node:path';
import fileId from '../../file-id/file-id.js';
import { decodeName } from './names.js';
import type { FileLocation } from './records.js';

/*
 * The layout of a store path:
 *
 *   data/AB/CD/<name>   files with IDs; fidfs puts nothing else there
 *   tmp/                temporary files of uploads, removed at startup except those of resumable uploads; temporary files of
 *                       copies from peers, until they are renamed
 *   quarantine/         files that did not match their names
 *   tombstones          the keys of deleted IDs, 20 bytes each, append-only
 *   ballast             space that is freed for tombstones on a full disk
 *   batches             the number of batches that have changed the store path; see batch-counter.ts
 *   lock                locked by the process that uses the store path
 *   fidfs-store-path    the marker: number and identity of the store path; see marker.ts
 */

export const MARKER_NAME = 'fidfs-store-path';

/** The label of a store path in IDs and messages: M00 to MFF. */
export function storePathLabel(number: number): string {
  return `M${(number + 0x100).toString(16).toUpperCase().slice(1)}`;
}

/** The directory of the files. It has the same name as FastDFS's, so that store paths of FastDFS can be served unchanged. */
export function dataDirectory(root: string): string {
  return join(root, 'data');
}

/** The path of a directory of files, by its number (0 to 65535). */
export function fileDirectory(root: string, directory: number): string {
  return `${root}/data/${fileId.directories(directory)}`;
}

/** The path of a file with an ID. */
export function filePath(root: string, directory: number, name: string): string {
  return `${root}/data/${fileId.directories(directory)}/${name}`;
}

export function temporaryDirectory(root: string): string {
  return join(root, 'tmp');
}

export function temporaryFile(root: string, name: string): string {
  return `${root}/tmp/${name}`;
}

/**
 * The name of the temporary file of a copy, or of another file whose name is public before it is stored. It contains the final
 * location, so that recovery can repeat the rename, and the SHA-256 if the name tells nothing of the content.
 */
export function copyTemporary({ directory, name, sha256 }: TemporaryOf): string {
  const place = fileId.directories(directory).replace('/', '');
  if (decodeName(name).crc32 !== null) return `copy-${place}-${name}`;
  return `content-${place}-${sha256.toString('hex')}-${name}`;
}

/** What the name of the temporary file of a copy contains. */
interface TemporaryOf extends Omit<FileLocation, 'storePath'> {
  sha256: Buffer;
}

/**
 * The final location of a copy, from the name of its temporary file, and the SHA-256 if it has it. Undefined if that is not the
 * temporary file of a copy.
 */
export function locationOfCopy(
  temporary: string,
): (Omit<FileLocation, 'storePath'> & { sha256: Buffer | undefined }) | undefined {
  const pattern = /^(?:copy-([0-9A-F]{4})|content-([0-9A-F]{4})-([0-9a-f]{64}))-(.+)$/;
  const [, copy, other, sha256, name] = pattern.exec(temporary) ?? [];
  const directory = copy ?? other;
  if (directory === undefined || !name) return undefined;
  return { directory: Number.parseInt(directory, 16), name, sha256: sha256 ? Buffer.from(sha256, 'hex') : undefined };
}

/** The name of the temporary file of a resumable upload. */
export function resumableTemporary(id: string): string {
  return `upload-${id}`;
}

/** The id of the resumable upload that a temporary file belongs to; undefined if it belongs to none. */
export function uploadOfTemporary(temporary: string): string | undefined {
  return /^upload-(.+)$/.exec(temporary)?.[1];
}

export function quarantineDirectory(root: string): string {
  return join(root, 'quarantine');
}

export function tombstonesFile(root: string): string {
  return join(root, 'tombstones');
}

export function batchesFile(root: string): string {
  return join(root, 'batches');
}

export function markerFile(root: string): string {
  return join(root, MARKER_NAME);
}

/**
 * The modification time of every stored file, in seconds since 1970 (2000-01-01). Hard links share an inode, so only a constant
 * makes nginx's ETag (modification time and size) equal on all nodes. It must be in the past, as Last-Modified must be.
 */
export const FILE_TIME = 946684800;
