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
 * The marker of a store path says which one it is: its number and a random identity, `M00 <uuid>`. The index knows it
 * too, so that an unmounted disk (an empty directory) and swapped disks are noticed before anything is written.
 * A third word is the version of the layout (see `layout.ts`, and docs/formats.md); version 1 is not written.
 */

/** The version of the layout of a store path that this program reads and writes. */
export const LAYOUT_VERSION = '1';

/** Why a store path is not used whose marker is not there. */
export const MARKER_MISSING = `${MARKER_NAME} is missing; is the disk mounted?`;

/** The same, where the settings name another directory than they did. */
const MOVED = `${MARKER_NAME} is missing, and storePaths names another directory than at the last start; to move a store path, stop the node and move its directory with all that is in it, ${MARKER_NAME} included, to the new place, or else write the old one again`;

/** What a store path says of itself; undefined when it has no marker. Throws WrongStorePath for another version of the layout. */
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
 * Compares the marker with what the index knows (undefined: nothing). Changes nothing. Returns what the marker says;
 * undefined when there is none, and none is expected. Throws when there should be one, and WrongStorePath when it is another's.
 * @param former the directory that it was at the last start; undefined where that is not known
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
 * As `expectMarker`, for a path that this process has locked; makes a marker for one that is new to the index. Returns the
 * identity. Throws WrongStorePath, too, for a path that is new to the index and holds files that another one knows.
 */
export function proveIdentity(root: string, number: number, known: string | undefined, former?: string): string {
  const found = expectMarker(root, number, known, former);
  if (known !== undefined) return known;
  if (found !== undefined && !isEmpty(dataDirectory(root))) {
    throw wrong(root, 'it holds files that the index does not know; if the index was lost, run "fidfs rebuild"');
  }
  // An empty one with a marker is what a power cut leaves of the very first start, or another node's that has stopped. It gets
  // another identity: that node is refused there from now on.
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
  // Under another name first: a crash must not leave half of it, which would be that of no store path.
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
