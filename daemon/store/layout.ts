import { join } from 'node:path';
import fileId from '../../file-id/file-id.js';
import type { FileLocation } from './records.js';

/*
 * What a store path holds:
 *
 *   data/AB/CD/<name>   files with IDs, nothing else of ours
 *   tmp/                uploads under way, swept at every start but for those that come in pieces; copies of peers' files
 *                       that get their names
 *   quarantine/         files that did not match their names
 *   tombstones          the keys of deleted IDs, 20 bytes each, append-only
 *   ballast             room for the tombstones of a full disk
 *   batches             how many batches have changed it; see batch-counter.ts
 *   lock                held by the one process that writes to it
 *   fidfs-store-path    which store path of which node this is
 */

export const MARKER_NAME = 'fidfs-store-path';

/** What a store path is called in IDs and by people: M00 to MFF. */
export function storePathLabel(number: number): string {
  return `M${(number + 0x100).toString(16).toUpperCase().slice(1)}`;
}

/** The directory of the files. FastDFS calls it the same, so its store paths can be served as they are. */
export function dataDirectory(root: string): string {
  return join(root, 'data');
}

/** One of the 65,536 directories. */
export function fileDirectory(root: string, directory: number): string {
  return `${root}/data/${fileId.directories(directory)}`;
}

/** Where a file with an ID lies. */
export function filePath(root: string, directory: number, name: string): string {
  return `${root}/data/${fileId.directories(directory)}/${name}`;
}

export function temporaryDirectory(root: string): string {
  return join(root, 'tmp');
}

export function temporaryFile(root: string, name: string): string {
  return `${root}/tmp/${name}`;
}

/** What the temporary file of a copy is called: it says which name the file is to get, so that a start can give it. */
export function copyTemporary({ directory, name }: Omit<FileLocation, 'storePath'>): string {
  return `copy-${fileId.directories(directory).replace('/', '')}-${name}`;
}

/** Which name a temporary file is to get; undefined when it is none of a copy. */
export function placeOfCopy(temporary: string): Omit<FileLocation, 'storePath'> | undefined {
  const [, directory, name] = /^copy-([0-9A-F]{4})-(.+)$/.exec(temporary) ?? [];
  return directory && name ? { directory: Number.parseInt(directory, 16), name } : undefined;
}

/** What the temporary file of an upload that comes in pieces is called. */
export function resumableTemporary(id: string): string {
  return `upload-${id}`;
}

/** The upload that a temporary file is of; undefined when it is none that comes in pieces. */
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
 * The modification time of every file we write, in seconds (2000-01-01). Constant, so that nginx's ETag, which is made
 * of time and size, is equal on all nodes, whatever is linked to what; and in the past, as Last-Modified must be.
 */
export const FILE_TIME = 946684800;
