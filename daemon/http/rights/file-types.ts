import { open } from 'node:fs/promises';
import { Problem } from '../../operations/problems.js';
import type { ReceivedFile } from '../../store/incoming-file.js';
import { ACTIVE_TYPES, isSameFormat, mediaTypeOf, UNKNOWN } from '../extension.js';
import { type Access, capitalised } from './limits.js';

/*
 * The `types` of an upload token. They are compared with the extension of the file, by which it is served later, and the extension
 * with the first bytes of the file: otherwise a page could be stored as `photo.jpg`, or a program as `report.pdf`.
 */

/** As many bytes as file-type recommends. */
const HEAD_BYTES = 4100;

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
  // Imported where types are limited, because other nodes start sooner without it.
  const { agree, detect } = await import('./signatures.js');
  const found = await detect(head);
  if (agree(extension.toLowerCase(), found)) return;
  const what = found ? `those of .${found.ext}` : 'not those of a known format';
  throw new Problem('type-not-allowed', `The first bytes of the file are ${what}, and its extension is .${extension}.`);
}

function isAmong(types: readonly string[], extension: string): boolean {
  const own = extension.toLowerCase();
  if (own === '') return false;
  const mediaType = mediaTypeOf(own) ?? UNKNOWN;
  return types.some((type) => {
    if (!type.includes('/')) return type === own || isSameFormat(mediaTypeOf(type), mediaType);
    if (!type.endsWith('/*')) return type === mediaType;
    // Who permits pictures does not expect SVG, which may have scripts.
    return mediaType.startsWith(type.slice(0, -1)) && !ACTIVE_TYPES.test(mediaType);
  });
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
