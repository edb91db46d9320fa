import { networkError, unreadable } from './error.js';
import { ofBlob, type Source } from './source.js';
import type { Sending, Sent } from './transport.js';

/** WebCrypto hashes only what is in memory as a whole. */
const LARGEST_HASHED_BYTES = 256 * 2 ** 20;

export async function openPath(path: string): Promise<Source> {
  throw new TypeError(`a browser cannot open ${path}: pass the File`);
}

/** Reads a stream into a Blob first, because browsers send streams by HTTP/2 only. */
export async function openStream(
  stream: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array | string>,
): Promise<Source> {
  try {
    if ('getReader' in stream) return ofBlob(await new Response(stream).blob());
    const parts: BlobPart[] = [];
    for await (const part of stream) parts.push(part as BlobPart);
    return ofBlob(new Blob(parts));
  } catch (error) {
    throw unreadable(error);
  }
}

export async function chunkOf(part: Blob | Uint8Array): Promise<Blob | Uint8Array> {
  return part;
}

/** Resolves with the SHA-256 of the parts, in hex; with undefined for large data, and on pages without WebCrypto. */
export async function sha256(parts: AsyncIterable<Uint8Array>, size: number): Promise<string | undefined> {
  if (size > LARGEST_HASHED_BYTES || globalThis.crypto?.subtle === undefined) return undefined;
  const bytes = new Uint8Array(size);
  let filled = 0;
  for await (const part of parts) {
    bytes.set(part, filled);
    filled += part.byteLength;
  }
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Sends a whole upload; by XMLHttpRequest, because `fetch` says nothing of the progress. */
export function send(url: string, { headers, body, signal, onProgress }: Sending): Promise<Sent> {
  const request = new XMLHttpRequest();
  const stop = () => request.abort();
  const sent = new Promise<Sent>((resolve, reject) => {
    request.open('POST', url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded }) => onProgress?.(loaded);
    request.onload = () => {
      resolve({
        status: request.status,
        body: request.responseText,
        header: (name) => request.getResponseHeader(name),
      });
    };
    request.onerror = () => reject(networkError());
    request.onabort = () => reject(signal?.reason);
    signal?.addEventListener('abort', stop, { once: true });
    request.send(body as XMLHttpRequestBodyInit);
  });
  return sent.finally(() => signal?.removeEventListener('abort', stop));
}
