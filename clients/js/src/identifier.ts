import { FidfsError } from './error.js';

/** A whole or a short ID: no other address of the server has this form. */
const ID = /^(?:[A-Za-z0-9_-]{1,16}\/)?(?:M[0-9A-F]{2}\/)?(?:[0-9A-F]{2}\/){2}[A-Za-z0-9_-]{27}[A-Za-z0-9._-]{1,60}$/;

/** Returns the address of an ID below a server, with a leading slash. Throws a FidfsError `bad-id` for what cannot be one. */
export function pathOf(id: string): string {
  if (!ID.test(id)) {
    throw new FidfsError('bad-id', 0, `not a file ID: ${id.slice(0, 200)}`);
  }
  return `/${id}`;
}

/** Returns what the ID of a file that was just stored says of it (docs/fastdfs.md). */
export function decoded(id: string): { created: string; crc32: string } {
  const code = id.slice(id.lastIndexOf('/') + 1, id.lastIndexOf('/') + 28);
  const text = atob(code.replaceAll('-', '+').replaceAll('_', '/'));
  const bytes = new DataView(Uint8Array.from(text, (character) => character.charCodeAt(0)).buffer);
  const created = new Date(bytes.getUint32(4) * 1000).toISOString().replace('.000', '');
  return { created, crc32: bytes.getUint32(16).toString(16).padStart(8, '0') };
}
