import fileId, { type FileId } from '../../file-id/file-id.js';
import { invalid, Status, WireError } from './codec.js';

/** A group as clients may name it: at most 16 characters of an ID. Throws a WireError (22). */
export function parseGroup(group: string): string {
  if (!/^[A-Za-z0-9_-]{1,16}$/.test(group)) throw invalid('the group is not 1 to 16 letters, digits, - or _');
  return group;
}

/** A path as in names, and a last part that is long enough for the name of a file. */
const LIKE_NAME = /^(?:M[0-9A-F]{2}\/)?[0-9A-F]{2}\/[0-9A-F]{2}\/[^/]{27,}$/;

/**
 * The ID of a name as on the wire: without the group, and for store path 0 possibly without `M00/`. Throws a WireError: 2 if there can
 * be no file of this name, as a client expects that asks whether one exists, and 22 if it is not like a name at all.
 */
export function parseName(group: string, name: string): FileId & { text: string } {
  const text = `${parseGroup(group)}/${/^[0-9A-F]{2}\//.test(name) ? 'M00/' : ''}${name}`;
  try {
    return { ...fileId.decode(text), text };
  } catch (error) {
    if (fileId.isFileIdError(error))
      throw new WireError(
        LIKE_NAME.test(name) ? Status.notFound : Status.invalid,
        `not the name of a file: ${error.message}`,
      );
    throw error;
  }
}

/** The name on the wire: an ID without its group and slash. */
export function nameOf(id: string): string {
  return id.slice(id.indexOf('/') + 1);
}

/** Checks the extension of an upload (FastDFS: letters, digits, - _ and .). Throws a WireError (22). */
export function parseExtension(extension: string): string {
  // A name that ends in -m is that of a metadata file.
  if (!/^[A-Za-z0-9._-]{0,6}$/.test(extension) || extension.endsWith('-m'))
    throw invalid('the extension holds a character that no ID has, or ends with -m');
  return extension;
}
