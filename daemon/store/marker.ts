import { randomUUID } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { WrongStorePath } from './errors.js';
import { dataDirectory, MARKER_NAME, markerFile, storePathLabel } from './layout.js';
import { writeAllSync } from './write-all.js';

/*
 * The marker of a store path contains its number and a random identity: `M00 <uuid>`. The index records the identity, so that
 * an unmounted disk (an empty directory) and swapped disks are detected before anything is written.
 * A third word is the version of the layout (see `layout.ts` and docs/formats.md); it is omitted for version 1.
 */

/** The version of the layout that this program reads and writes. */
export const LAYOUT_VERSION = '1';

/** Error message for a store path without its marker. */
export const MARKER_MISSING = `${MARKER_NAME} is missing; is the disk mounted?`;

/** The same, if the settings name another directory than at the last start. */
const MOVED = `${MARKER_NAME} is missing, and storePaths names another directory than at the last start; to move a store path, stop the node and move its directory with all that is in it, ${MARKER_NAME} included, to the new place, or else write the old one again`;

/** The text of a store path's marker; undefined if it has none. Throws WrongStorePath for another version of the layout. */
export function readMarker(root: string): string | undefined {
  const marker = markerFile(root);
  if (!existsSync(marker)) return undefined;
  const text = readFileSync(marker, 'utf8').trim();
  const [, , version = LAYOUT_VERSION] = text.split(' ');
  if (version !== LAYOUT_VERSION) {
    throw wrong(root, `its layout has version ${version}, this fidfs knows ${LAYOUT_VERSION}; run a later one`);
  }
  return text;
}

/**
 * Compares the marker with the number and the recorded identity of a store path. Changes nothing.
 * @param known the identity recorded in the index; undefined if the store path is new to the index
 * @param former the directory at the last start, if known
 * @returns the text of the marker; undefined if there is none and none is expected
 * @throws Error if the marker is missing; WrongStorePath if it is that of another store path
 */
export function expectMarker(
  root: string,
  number: number,
  known: string | undefined,
  former?: string,
): string | undefined {
  const found = readMarker(root);
  if (found !== undefined && !found.startsWith(`${storePathLabel(number)} `)) {
    throw wrong(
      root,
      `its marker says ${found.split(' ')[0]}, its place in storePaths ${storePathLabel(number)}; put them in order`,
    );
  }
  if (known !== undefined && found === undefined) {
    throw new Error(former === undefined || former === root ? MARKER_MISSING : MOVED);
  }
  if (known !== undefined && found !== known) {
    throw wrong(root, 'another store path is there than the index knows; are disks swapped? Put storePaths in order');
  }
  return found;
}

/**
 * As `expectMarker`, for a path that this process has locked; writes a new marker if the path is new to the index. Returns the
 * identity. Also throws WrongStorePath if the path is new to the index, has a marker and contains files.
 */
export function proveIdentity(root: string, number: number, known: string | undefined, former?: string): string {
  const found = expectMarker(root, number, known, former);
  if (known !== undefined) return known;
  if (found !== undefined && !isEmpty(dataDirectory(root))) {
    throw wrong(root, 'it holds files that the index does not know; if the index was lost, run "fidfs rebuild"');
  }
  // An empty store path with a marker is left by a power cut at the first start, or belongs to another node that is stopped. It
  // gets a new identity, so that the other node cannot use it any more.
  return makeMarker(root, number);
}

function wrong(root: string, what: string): WrongStorePath {
  return new WrongStorePath(`the store path ${root}: ${what}`);
}

function isEmpty(directory: string): boolean {
  return !existsSync(directory) || readdirSync(directory).length === 0;
}

function makeMarker(root: string, number: number): string {
  const identity = `${storePathLabel(number)} ${randomUUID()}`;
  mkdirSync(root, { recursive: true });
  // Written under another name and renamed: a crash must not leave a partial marker.
  const marker = markerFile(root);
  const file = openSync(`${marker}.new`, 'w', 0o644);
  try {
    writeAllSync({ writeSync }, file, Buffer.from(`${identity}\n`));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${marker}.new`, marker);
  return identity;
}
