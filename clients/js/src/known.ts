import { sha256 } from '#platform';
import { FidfsError } from './error.js';
import { open } from './open.js';
import { bytesOf, type Source } from './source.js';
import type { Transport } from './transport.js';
import type { Challenge, KnownOptions, StoredFile, UploadData } from './types.js';
import { storedIn } from './upload.js';

const SLICE_BYTES = 4 * 2 ** 20;

/** Offers data by its hash. Resolves with undefined if the server does not have it, or if it cannot be hashed here. */
export async function uploadKnown(
  transport: Transport,
  data: UploadData,
  options: KnownOptions,
): Promise<StoredFile | undefined> {
  const { hasher, signal } = options;
  const source = await open(data);
  try {
    const { size } = source;
    if (source.slice === undefined || size === undefined) return undefined;
    const hash = hasher ? await hasher.sha256() : await sha256(slices(source, [[0, size]], signal), size);
    if (hash === undefined) return undefined;
    const ext = options.ext ?? extensionOf(options.name ?? source.name ?? '');
    const challenge = await transport.ask<Challenge>('/upload/known', { sha256: hash, size, ext }, signal);
    const proof = hasher ? await hasher.prove(challenge) : await proofOf(source, challenge, signal);
    return storedIn(await transport.ask('/upload/known', { nonce: challenge.nonce, proof }, signal));
  } catch (error) {
    if (error instanceof FidfsError && [400, 403, 404].includes(error.status) && !isAboutKey(error)) return undefined;
    throw error;
  } finally {
    await source.close();
  }
}

/** Whether the key does not permit uploads: the upload would be refused, too. */
function isAboutKey({ problem }: FidfsError): boolean {
  return problem === 'no-right';
}

async function* slices(
  source: Source,
  ranges: readonly (readonly [number, number])[],
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  for (const [offset, length] of ranges) {
    for (let start = offset; start < offset + length; start += SLICE_BYTES) {
      signal?.throwIfAborted();
      const part = await source.slice?.(start, Math.min(start + SLICE_BYTES, offset + length));
      if (part) yield await bytesOf(part);
    }
  }
}

async function proofOf(source: Source, { nonce, ranges }: Challenge, signal: AbortSignal | undefined) {
  const prefix = new TextEncoder().encode(nonce);
  async function* parts() {
    yield prefix;
    yield* slices(source, ranges, signal);
  }
  return await sha256(
    parts(),
    ranges.reduce((sum, [, length]) => sum + length, prefix.length),
  );
}

/** Returns the extension that the server would take from a file name; empty if none is valid. */
function extensionOf(name: string): string {
  if (/[^.]\.tar\.gz$/i.test(name)) return name.slice(-6);
  const dot = name.lastIndexOf('.');
  const extension = dot > 0 ? name.slice(dot + 1) : '';
  return /^[A-Za-z0-9]{1,6}$/.test(extension) ? extension : '';
}
