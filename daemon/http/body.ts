import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { Problem } from '../operations/problems.js';

/** A body that brings fewer bytes than the minimum rate in this window is refused with `body-timeout`. */
const WINDOW_SECONDS = 30;
const LEAST_BYTES_PER_SECOND = 1024;

/** Limits, in bytes and in milliseconds, up to which the rest of a refused body is read before the answer. */
const SHORT_REST = 16 * 2 ** 20;
const REST_MILLISECONDS = 5000;

/** The client closed the connection before its body was complete; no answer can be sent. */
export class ClientGone extends Error {
  override name = 'ClientGone';
}

/** Reads a whole body into memory. Rejects with a Problem (`too-large`) if it is longer than `limit` bytes. */
export async function readSmallBody(body: AsyncIterable<Buffer>, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > limit) throw new Problem('too-large', 'The body is larger than is allowed here.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Receives the bytes of a body. If `write` returns a promise, it may be called again only after that resolves. */
export interface ByteSink {
  write(chunk: Buffer): Promise<void> | undefined;
}

interface SpeedWatch {
  bytes: number;
  /** Bytes received at the last check; undefined before the first check and after a pause. */
  before: number | undefined;
  tooSlow(): void;
}

const watches = new Set<SpeedWatch>();
/** The function that fails each body being received. */
const receiving = new Set<(error: unknown) => void>();

/** Fails all bodies that are being received with this problem. */
export function refuseBodies(problem: Problem): void {
  for (const fail of [...receiving]) fail(problem);
}

/** One timer for all bodies, so that each upload needs none of its own. */
setInterval(() => {
  for (const watch of watches) {
    const least = WINDOW_SECONDS * LEAST_BYTES_PER_SECOND;
    if (watch.before !== undefined && watch.bytes - watch.before < least) watch.tooSlow();
    else watch.before = watch.bytes;
  }
}, WINDOW_SECONDS * 1000).unref();

/**
 * Reads a stream to its end into a sink, with backpressure from the sink. `limit` is in bytes, `limitDetail` the detail of
 * the `too-large` problem.
 * Rejects with a Problem (`too-large`, `body-timeout`, or that of `refuseBodies`), with ClientGone, or with the error of the
 * sink.
 */
export function readBody(stream: Readable, sink: ByteSink, limit: number, limitDetail: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const tooSlow = () => fail(new Problem('body-timeout', SLOW_DETAIL));
    const watch: SpeedWatch = { bytes: 0, before: undefined, tooSlow };
    watches.add(watch);
    let settled = false;
    const settle = (): boolean => {
      if (settled) return false;
      settled = true;
      watches.delete(watch);
      receiving.delete(fail);
      return true;
    };
    const fail = (error: unknown) => {
      if (!settle()) return;
      stream.removeListener('data', onData);
      stream.resume();
      reject(error);
    };
    const onData = (chunk: Buffer) => {
      watch.bytes += chunk.length;
      if (watch.bytes > limit) {
        fail(new Problem('too-large', limitDetail));
        return;
      }
      try {
        const pressure = sink.write(chunk);
        if (!pressure) return;
        stream.pause();
        watches.delete(watch); // time spent waiting for the disk does not count against the client
        pressure.then(() => {
          if (settled) return;
          watch.before = undefined;
          watches.add(watch);
          stream.resume();
        }, fail);
      } catch (error) {
        fail(error);
      }
    };
    receiving.add(fail);
    stream.on('data', onData);
    stream.on('end', () => settle() && resolve());
    // Every stream emits `close`: the error is created only if needed, because creating it with its stack costs as much as
    // hashing a small body.
    const gone = (cause?: Error) => {
      if (!settled) fail(new ClientGone('the client went away before its body was whole', { cause }));
    };
    stream.on('error', gone);
    stream.on('close', () => gone());
  });
}

const SLOW_DETAIL = `Fewer than ${LEAST_BYTES_PER_SECOND} bytes a second came for ${WINDOW_SECONDS} seconds; send the file again.`;

/**
 * Discards the rest of a refused body if it is short, and resolves when it has been read, or at a limit. nginx closes a
 * connection that is answered before its body was sent; after a complete body the client can reuse it. Returns immediately
 * for a long body.
 */
export function restOfBody(request: IncomingMessage): Promise<void> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (request.complete || request.destroyed || announced > SHORT_REST) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, REST_MILLISECONDS);
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > SHORT_REST) done();
    });
    request.on('end', done).on('close', done).resume();
  });
}
