import { Failure, networkFailure } from '../http/failure';

/** Messages to the worker. `hash` with the key of a paused file resumes it. */
export type HashRequest =
  | { kind: 'hash'; key: string; file: File }
  | { kind: 'prove'; key: string; file: File; nonce: string; ranges: readonly [number, number][] }
  | { kind: 'pause' | 'forget'; key: string };

/** Messages from the worker. */
export type HashAnswer =
  | { kind: 'progress'; key: string; bytes: number }
  | { kind: 'digest'; key: string; hex: string }
  | { kind: 'error'; key: string; words: string }
  | { kind: 'broken'; key: string };

type Listener = (answer: HashAnswer) => void;

const listeners = new Map<string, Listener>();
let worker: Worker | undefined;

function tell(request: HashRequest): void {
  if (!worker) {
    worker = new Worker(new URL('./hash.worker.ts', import.meta.url), { type: 'module' });
    worker.addEventListener('message', ({ data }: MessageEvent<HashAnswer>) => listeners.get(data.key)?.(data));
    // The script could not be loaded; the next file starts a new worker.
    worker.addEventListener('error', () => {
      worker = undefined;
      for (const [key, listener] of [...listeners]) listener({ kind: 'broken', key });
    });
  }
  worker.postMessage(request);
}

function ask(request: HashRequest, abort: AbortSignal, progress: (bytes: number) => void): Promise<string> {
  const { key } = request;
  return new Promise<string>((resolve, reject) => {
    const stop = () => {
      tell({ kind: 'pause', key });
      reject(abort.reason);
    };
    abort.addEventListener('abort', stop, { once: true });
    listeners.set(key, (answer) => {
      if (answer.kind === 'progress') return progress(answer.bytes);
      abort.removeEventListener('abort', stop);
      if (answer.kind === 'digest') resolve(answer.hex);
      else if (answer.kind === 'error') reject(new Failure('unreadable', 0, answer.words));
      else reject(networkFailure());
    });
    tell(request);
  }).finally(() => listeners.delete(key));
}

/** Resolves with the SHA-256 of a file, in hex. After an abort the next call with the same key resumes. */
export function hashFile(
  key: string,
  file: File,
  abort: AbortSignal,
  progress: (bytes: number) => void,
): Promise<string> {
  return ask({ kind: 'hash', key, file }, abort, progress);
}

/** Resolves with the SHA-256 of a nonce followed by ranges of a file, in hex. */
export function proveFile(
  key: string,
  file: File,
  challenge: { nonce: string; ranges: readonly [number, number][] },
  abort: AbortSignal,
): Promise<string> {
  return ask({ kind: 'prove', key: `${key} proof`, file, ...challenge }, abort, () => {});
}

/** Discards the state of a paused hash. */
export function forgetHash(key: string): void {
  if (worker) tell({ kind: 'forget', key });
}
