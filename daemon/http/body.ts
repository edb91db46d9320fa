import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { Problem } from './problems.js';

/** A body must bring so many bytes in this time, or the client is told that it stopped. */
const WINDOW_SECONDS = 30;
const LEAST_BYTES_PER_SECOND = 1024;

/** The rest of a refused body is waited for when it is no longer than this, in bytes and in time. */
const SHORT_REST = 16 * 2 ** 20;
const REST_MILLISECONDS = 5000;

/** The client went away before its body was complete; nobody is left to answer. */
export class ClientGone extends Error {
  override name = 'ClientGone';
}

/** A whole body that is to be short. Rejects with a Problem when it is longer than `limit` bytes. */
export async function readSmallBody(body: AsyncIterable<Buffer>, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > limit) throw new Problem('too-large', 'The body is larger than is taken here.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Where bytes go. A promise means: no more until it has resolved. */
export interface ByteSink {
  write(chunk: Buffer): Promise<void> | undefined;
}

interface SpeedWatch {
  bytes: number;
  /** What had come at the last look; undefined before the first. */
  before: number | undefined;
  tooSlow(): void;
}

const watches = new Set<SpeedWatch>();
/** What ends each body that is coming. */
const coming = new Set<(error: unknown) => void>();

/** Ends all bodies that are coming now: their requests fail with this. */
export function refuseBodies(problem: Problem): void {
  for (const fail of [...coming]) fail(problem);
}

/** One timer for all bodies: a look now and then costs an upload nothing. */
setInterval(() => {
  for (const watch of watches) {
    const least = WINDOW_SECONDS * LEAST_BYTES_PER_SECOND;
    if (watch.before !== undefined && watch.bytes - watch.before < least) watch.tooSlow();
    else watch.before = watch.bytes;
  }
}, WINDOW_SECONDS * 1000).unref();

/**
 * Reads a stream to its end into a sink, no faster than the sink takes it.
 * Rejects with a Problem (too large, too slow), with ClientGone, or with what the sink threw.
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
      coming.delete(fail);
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
        watches.delete(watch); // a slow disk is not a slow client
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
    coming.add(fail);
    stream.on('data', onData);
    stream.on('end', () => settle() && resolve());
    // Every stream closes in the end; an error made each time (and its stack) would cost as much as a hash.
    const gone = (cause?: Error) => {
      if (!settled) fail(new ClientGone('the client went away before its body was whole', { cause }));
    };
    stream.on('error', gone);
    stream.on('close', () => gone());
  });
}

const SLOW_DETAIL = `Fewer than ${LEAST_BYTES_PER_SECOND} bytes a second came for ${WINDOW_SECONDS} seconds; send the file again.`;

/**
 * Resolves when the rest of a refused body has come, if it is short: a client that has sent all of it goes on with its
 * connection, which nginx, answered earlier, would close behind the next request. A long one is refused at once.
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
