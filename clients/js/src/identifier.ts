import { FidfsError } from './error.js';

/** Returns the address of an ID below a server, with a leading slash. Throws a FidfsError `bad-id` for what cannot be one. */
export function pathOf(id: string): string {
  if (!/^[\w.-]+(?:\/[\w.-]+)+$/.test(id) || /(?:^|\/)\.{1,2}(?:\/|$)/.test(id)) {
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
