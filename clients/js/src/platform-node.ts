import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { networkError, unreadable } from './error.js';
import { bytesOf, type Source } from './source.js';
import type { Sending, Sent } from './transport.js';

/*
 * What Node does in another way than browsers; package.json chooses between this and platform-browser.ts.
 */

/** Opens a file. */
export async function openPath(path: string): Promise<Source> {
  const file = await open(path).catch((error: unknown) => {
    throw unreadable(error);
  });
  const { size } = await file.stat();
  const slice = async (start: number, end: number) => {
    const bytes = new Uint8Array(Math.min(end, size) - start);
    for (let filled = 0; filled < bytes.length; ) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, start + filled);
      if (bytesRead === 0) throw unreadable(new Error(`${path} has become shorter`));
      filled += bytesRead;
    }
    return bytes;
  };
  return { size, name: basename(path), slice, body: () => slice(0, size), close: () => file.close() };
}

/** Passes a stream on, without holding it in memory. */
export async function openStream(
  stream: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array | string>,
  size: number | undefined,
): Promise<Source> {
  return { size, slice: undefined, body: async () => bytesIn(stream), close: async () => {} };
}

async function* bytesIn(stream: AsyncIterable<Uint8Array | string>): AsyncGenerator<Uint8Array> {
  for await (const part of stream) yield typeof part === 'string' ? Buffer.from(part) : part;
}

/** Converts a part to what the HTTP stack of tus-js-client sends, with a length. */
export async function chunkOf(part: Blob | Uint8Array): Promise<Uint8Array> {
  const bytes = await bytesOf(part);
  return Object.assign(bytes.subarray(), { size: bytes.byteLength });
}

/** Resolves with the SHA-256 of the parts, in hex. */
export async function sha256(parts: AsyncIterable<Uint8Array>, _size: number): Promise<string | undefined> {
  const hash = createHash('sha256');
  for await (const part of parts) hash.update(part);
  return hash.digest('hex');
}

/** Sends a whole upload. Progress is that of a stream; other bodies are reported when they are sent. */
export async function send(url: string, { headers, body, signal, onProgress, fetch }: Sending): Promise<Sent> {
  let readError: unknown;
  async function* counted(parts: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let sent = 0;
    try {
      for await (const part of parts) {
        yield part;
        sent += part.byteLength;
        onProgress?.(sent);
      }
    } catch (error) {
      readError = unreadable(error);
      throw error;
    }
  }
  const isStream = Symbol.asyncIterator in body;
  // The types of `fetch` know neither iterables nor `duplex`.
  const whole = (isStream ? counted(body) : body) as BodyInit;
  const init: RequestInit & { duplex: 'half' } = { method: 'POST', headers, body: whole, duplex: 'half' };
  try {
    const answer = await fetch(url, { ...init, signal: signal ?? null });
    return { status: answer.status, body: await answer.text(), header: (name) => answer.headers.get(name) };
  } catch (error) {
    throw readError ?? networkError(error);
  }
}
