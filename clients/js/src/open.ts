import { openPath, openStream } from '#platform';
import { ofBlob, ofBytes, type Source } from './source.js';
import type { UploadData } from './types.js';

/** Opens data. Rejects with a FidfsError `unreadable` if a file cannot be opened. */
export async function open(data: UploadData, size?: number): Promise<Source> {
  if (typeof data === 'string') return ofBytes(new TextEncoder().encode(data));
  if (data instanceof ArrayBuffer) return ofBytes(new Uint8Array(data));
  if (data instanceof Uint8Array) return ofBytes(data);
  if (data instanceof Blob) return ofBlob(data);
  // Before paths, because a stream that Node reads from a file has one, too.
  if ('getReader' in data || Symbol.asyncIterator in data) return await openStream(data, size);
  if ('path' in data) return await openPath(data.path);
  throw new TypeError('neither a Blob, bytes, text, a stream nor a path');
}
