import { type FileTypeResult, fileTypeFromBuffer, supportedExtensions } from 'file-type';
import { isSameFormat, mediaTypeOf } from '../extension.js';

/*
 * What the first bytes of a file say of its format.
 */

/**
 * Extensions that file-type knows for one format only, while files of other formats, or without a signature, have them too:
 * XML without a declaration, binary STL, and so on.
 */
const AMBIGUOUS = new Set(['xml', 'stl', 'dat', 'sav', 'it', 'alias']);

/** Formats with a common container: the signature does not tell them apart, or only far behind the first bytes. */
const CONTAINERS: readonly (readonly string[])[] = [
  [
    ...[
      'zip',
      'docx',
      'xlsx',
      'pptx',
      'docm',
      'xlsm',
      'pptm',
      'dotx',
      'dotm',
      'xltx',
      'xltm',
      'potx',
      'potm',
      'ppsx',
      'ppsm',
    ],
    ...[
      'odt',
      'ods',
      'odp',
      'odg',
      'ott',
      'ots',
      'otp',
      'otg',
      'epub',
      'jar',
      'apk',
      'xpi',
      '3mf',
      'vsdx',
      'kmz',
      'cbz',
      'sketch',
    ],
  ],
  ['cfb', 'doc', 'dot', 'xls', 'xlt', 'ppt', 'pps', 'pot', 'msi', 'msg', 'vsd', 'pub', 'mpp'],
  ['mp4', 'm4v', 'mov', 'qt', '3gp', '3g2', 'm4a', 'm4b', 'm4p', 'f4v', 'f4a', 'f4b', 'f4p', 'mj2'],
  ['heic', 'heif', 'heics', 'heifs', 'avif', 'avifs', 'hif'],
  ['ogg', 'oga', 'ogv', 'ogx', 'ogm', 'opus', 'spx'],
  ['mkv', 'webm', 'mka', 'mks', 'weba'],
  ['asf', 'wmv', 'wma'],
  ['tif', 'tiff', 'dng', 'nef', 'arw', 'cr2', 'orf', 'rw2'],
  ['png', 'apng'],
  ['gz', 'tgz', 'tar.gz', 'svgz'],
  ['mp3', 'mp2', 'mp1', 'mpga'],
  ['mpg', 'mpeg', 'mpe', 'vob'],
  ['ps', 'eps', 'ai'],
  ['pdf', 'ai'],
  ['exe', 'dll', 'com'],
];

/** Whether the content may be that of a file with this extension (in lower case). */
export function agree(extension: string, found: FileTypeResult | undefined): boolean {
  const mediaType = mediaTypeOf(extension);
  // Formats without a signature, such as text, are known by their extension only.
  if (!found) return !isRecognised(extension, mediaType);
  if (found.ext === extension || found.mime === mediaType) return true;
  if (found.ext === 'xml') return /[/+]xml$/.test(mediaType ?? '');
  return CONTAINERS.some((formats) => formats.includes(extension) && formats.includes(found.ext));
}

/** Whether file-type recognises files with this extension, so that it recognises those that are what they claim to be. */
function isRecognised(extension: string, mediaType: string | undefined): boolean {
  if (AMBIGUOUS.has(extension)) return false;
  if (supportedExtensions.has(extension)) return true;
  // Another extension of the same format, such as jpeg, or one of a container that has a signature.
  const others = [...supportedExtensions].filter((one) => !AMBIGUOUS.has(one));
  if (others.some((one) => isSameFormat(mediaTypeOf(one), mediaType))) return true;
  return CONTAINERS.some((formats) => formats.includes(extension));
}

/** The format of a file by its first bytes; undefined if it is unknown. */
export async function detect(head: Buffer): Promise<FileTypeResult | undefined> {
  try {
    return await fileTypeFromBuffer(head);
  } catch {
    return undefined; // a malformed file, of whichever format it pretends to be
  }
}
