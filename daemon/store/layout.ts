import { join } from 'node:path';
import fileId from '../../file-id/file-id.js';

/*
 * What a store path holds:
 *
 *   data/AB/CD/<name>   files with IDs, nothing else of ours
 *   tmp/                uploads under way; swept at every start
 *   quarantine/         files that did not match their names
 *   tombstones          the keys of deleted IDs, 20 bytes each, append-only
 *   fidfs-store-path    which store path of which node this is
 */

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

export function quarantineDirectory(root: string): string {
  return join(root, 'quarantine');
}

export function tombstonesFile(root: string): string {
  return join(root, 'tombstones');
}

export function markerFile(root: string): string {
  return join(root, 'fidfs-store-path');
}

/**
 * The modification time of every file we write, in seconds (2000-01-01). Constant, so that nginx's ETag, which is made
 * of time and size, is equal on all nodes, whatever is linked to what; and in the past, as Last-Modified must be.
 */
export const FILE_TIME = 946684800;
