import { createSHA256, type IHasher } from 'hash-wasm';
import type { HashAnswer, HashRequest } from './hashing';

/*
 * Computes SHA-256 in a worker, in WebAssembly, which is four times as fast as JavaScript and permitted by the policy of this
 * script only (nginx/console.ts). The state of a paused file is kept, so that hashing can resume.
 */

const SLICE_BYTES = 4 * 2 ** 20;

interface Hashing {
  hash: IHasher;
  offset: number;
  /** Number of starts and pauses; a running loop ends when it changes. */
  run: number;
}

const hashings = new Map<string, Hashing>();

function answer(message: HashAnswer): void {
  postMessage(message);
}

async function hash(key: string, file: File): Promise<void> {
  const hashing = hashings.get(key) ?? { hash: await createSHA256(), offset: 0, run: 0 };
  const run = ++hashing.run;
  hashings.set(key, hashing);
  const read = (offset: number) => file.slice(offset, offset + SLICE_BYTES).arrayBuffer();
  let next = read(hashing.offset);
  while (hashing.offset < file.size) {
    const slice = await next;
    if (hashing.run !== run) return;
    // Reads the next slice while this one is hashed.
    next = read(hashing.offset + slice.byteLength);
    hashing.hash.update(new Uint8Array(slice));
    hashing.offset += slice.byteLength;
    answer({ kind: 'progress', key, bytes: hashing.offset });
  }
  hashings.delete(key);
  answer({ kind: 'digest', key, hex: hashing.hash.digest() });
}

async function prove(key: string, file: File, nonce: string, ranges: readonly [number, number][]): Promise<void> {
  const proof = (await createSHA256()).update(nonce);
  for (const [offset, length] of ranges) {
    proof.update(new Uint8Array(await file.slice(offset, offset + length).arrayBuffer()));
  }
  answer({ kind: 'digest', key, hex: proof.digest() });
}

async function take(request: HashRequest): Promise<void> {
  const { key } = request;
  try {
    if (request.kind === 'hash') await hash(key, request.file);
    else if (request.kind === 'prove') await prove(key, request.file, request.nonce, request.ranges);
    else {
      const hashing = hashings.get(key);
      if (hashing) hashing.run++;
      if (request.kind === 'forget') hashings.delete(key);
    }
  } catch (error) {
    hashings.delete(key);
    answer({ kind: 'error', key, words: error instanceof Error ? error.message : String(error) });
  }
}

addEventListener('message', ({ data }: MessageEvent<HashRequest>) => void take(data));
