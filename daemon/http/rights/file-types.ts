import { open } from 'node:fs/promises';
import { type FileTypeResult, fileTypeFromBuffer, supportedExtensions } from 'file-type';
import { Problem } from '../../operations/problems.js';
import type { ReceivedFile } from '../../store/incoming-file.js';
import { mediaTypeOf } from '../extension.js';
import { type Access, capitalised } from './limits.js';

/*
 * The `types` of an upload token. They are compared with the extension of the file, by which it is served later, and the extension
 * with the first bytes of the file: otherwise a page could be stored as `photo.jpg`, or a program as `report.pdf`.
 */

/** The media type of formats that have none, and of unknown ones. */
const UNKNOWN = 'application/octet-stream';

/** As many bytes as file-type recommends. */
const HEAD_BYTES = 4100;

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

/** Throws a Problem (`type-not-allowed`) if no limit of `types` permits files with this extension. */
export function assertExtension({ limits }: Access, extension: string): void {
  for (const limit of limits) {
    if (limit.types === undefined || isAmong(limit.types, extension)) continue;
    const what = extension === '' ? 'a file without an extension' : `.${extension}`;
    throw new Problem(
      'type-not-allowed',
      `${capitalised(limit.whose)} is for ${limit.types.join(', ')} only, not for ${what}.`,
    );
  }
}

/** Whether the types of the files of a request are limited: then `assertTypes` is needed. */
export function limitsTypes({ limits }: Access): boolean {
  return limits.some(({ types }) => types !== undefined);
}

/** Rejects with a Problem (`type-not-allowed`) if the extension of a received file is not permitted, or not that of its content. */
export async function assertTypes(
  access: Access,
  files: readonly Pick<ReceivedFile, 'extension' | 'content'>[],
): Promise<void> {
  if (!limitsTypes(access)) return;
  for (const { extension, content } of files) {
    assertExtension(access, extension);
    await assertContent(extension, 'path' in content ? await headOfFile(content.path) : headOf(content));
  }
}

/** As `assertTypes`, for a file of the store that gets another extension. */
export async function assertTypeOfFile(access: Access, extension: string, path: string): Promise<void> {
  if (!limitsTypes(access)) return;
  assertExtension(access, extension);
  await assertContent(extension, await headOfFile(path));
}

async function assertContent(extension: string, head: Buffer): Promise<void> {
  const found = await detect(head);
  if (agree(extension.toLowerCase(), found)) return;
  const what = found ? `those of .${found.ext}` : 'those of no such file';
  throw new Problem('type-not-allowed', `The first bytes of the file are ${what}, and its extension is .${extension}.`);
}

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

async function detect(head: Buffer): Promise<FileTypeResult | undefined> {
  try {
    return await fileTypeFromBuffer(head);
  } catch {
    return undefined; // a malformed file, of whichever format it pretends to be
  }
}

function isAmong(types: readonly string[], extension: string): boolean {
  const own = extension.toLowerCase();
  if (own === '') return false;
  const mediaType = mediaTypeOf(own) ?? UNKNOWN;
  return types.some((type) => {
    if (!type.includes('/')) return type === own || isSameFormat(mediaTypeOf(type), mediaType);
    return type.endsWith('/*') ? mediaType.startsWith(type.slice(0, -1)) : type === mediaType;
  });
}

/** Whether two media types of extensions are one; many formats share that of unknown ones. */
function isSameFormat(one: string | undefined, other: string | undefined): boolean {
  return one !== undefined && one === other && one !== UNKNOWN;
}

function headOf(chunks: readonly Buffer[]): Buffer {
  const [only] = chunks;
  if (chunks.length === 1 && only) return only.subarray(0, HEAD_BYTES);
  return Buffer.concat(chunks).subarray(0, HEAD_BYTES);
}

async function headOfFile(path: string): Promise<Buffer> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
