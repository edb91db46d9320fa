import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { Busboy, type BusboyFileStream, type BusboyHeaders, type BusboyInstance, Dicer } from '@fastify/busboy';
import { Problem } from '../operations/problems.js';
import type { IncomingFile, ReceivedFile } from '../store/incoming-file.js';
import type { Reservation } from '../store/reservation.js';
import type { Store } from '../store/store.js';
import { type ByteSink, ClientGone, readBody } from './body.js';
import { extensionOf } from './extension.js';
import { BoundaryLines, boundaryOf } from './multipart-lines.js';
import { isIdentity } from './whole-body.js';

/** Files in one request. */
export const MAX_FILES = 1000;
/** Other fields are not kept, so they need not be long; a part's headers neither. */
export const LIMITS = { files: MAX_FILES, fieldSize: 64 * 1024, headerSize: 16 * 1024 };

/** Mostly an application has written the header itself, where FormData or curl -F would have with the boundary. */
const NO_BOUNDARY = 'The Content-Type has no usable boundary; leave this header to your HTTP client, which makes one.';

/** How large a file may be, and how to say so. */
export interface SizeLimit {
  bytes: number;
  detail: string;
}

/**
 * Receives every file part of a multipart/form-data body as it comes. All or nothing: when it rejects, nothing is kept.
 * Rejects with a Problem, with ClientGone, or with a StoreError.
 * @param room that of the whole request, where its length is known
 */
export async function receiveStream(
  headers: IncomingHttpHeaders,
  body: Readable,
  store: Store,
  limit: SizeLimit,
  room?: Reservation,
): Promise<ReceivedFile[]> {
  const parser = openParser(headers);
  const files: IncomingFile[] = [];
  const parts: Promise<ReceivedFile | undefined>[] = [];
  let failPart: (error: unknown) => void = () => {};
  const partFailed = new Promise<never>((_, reject) => {
    failPart = reject;
  });
  const seen = watchParts(parser, failPart);
  const standstill = new Standstill(() => failPart(malformed(new Error('the parser stands still'))));
  const begin = (stream: BusboyFileStream): IncomingFile | undefined => {
    try {
      return store.receive(undefined, room);
    } catch (error) {
      stream.resume();
      failPart(error);
      return undefined;
    }
  };
  parser.on('file', (_field, stream, fileName) => {
    const file = begin(stream);
    if (!file) return;
    files.push(file);
    const part = receivePart(stream, file, fileName, seen.mediaType, limit);
    parts.push(part);
    standstill.open++;
    // Whichever part fails first ends the whole request.
    part.then(() => standstill.closed(), failPart);
  });
  let fields = 0;
  parser.on('field', (_field, _value, _isCut, _isLong, _encoding, mediaType) => {
    fields++;
    // Many clients say of each field that it is text (.NET, Spring, Apache's), which is what it would be anyway.
    if (mediaType !== 'text/plain') failPart(malformedPart(NO_FILE_NAME));
  });
  parser.on('filesLimit', () => {
    failPart(
      new Problem('too-many-files', `At most ${MAX_FILES} files go into one request; send the others in another.`),
    );
  });
  const parsed = new Promise<void>((resolve, reject) => {
    parser.on('finish', resolve);
    parser.on('error', (error) => {
      reject(malformed(error));
    });
  });
  const received: ReceivedFile[] = [];
  try {
    await Promise.race([Promise.all([feed(body, parser, linesOf(headers), standstill), parsed]), partFailed]);
    for (const file of await Promise.all(parts)) if (file) received.push(file);
    if (seen.parts !== parts.length + fields) throw malformed(new Error('a part has no usable headers'));
    if (received.length === 0) {
      throw new Problem('no-file', 'The multipart body has no file part; send one, as in curl -F file=@photo.jpg.');
    }
    return received;
  } catch (error) {
    // The rest is of no use, and the parser may never ask for it again: let it flow away.
    body.removeAllListeners('data');
    body.resume();
    parser.destroy();
    for (const file of received) file.release();
    await Promise.all(files.map((file) => file.discard()));
    throw error;
  }
}

interface SeenParts {
  parts: number;
  /** What the last of them says that it is; undefined when it does not say, and busboy takes it for text. */
  mediaType: string | undefined;
}

/**
 * Counts the parts, and looks at the headers of each before busboy does, which passes over a part whose headers it cannot use
 * (no Content-Disposition, or too late, or a bare line break in them) without a word; but a request is stored whole or not at
 * all.
 */
function watchParts(parser: BusboyInstance, fail: (problem: Problem) => void): SeenParts {
  const multipart: unknown = Reflect.get(parser, '_parser');
  const dicer: unknown = typeof multipart === 'object' && multipart !== null ? Reflect.get(multipart, 'parser') : null;
  if (!(dicer instanceof Dicer)) throw new Error('@fastify/busboy has no Dicer any more; pin its last version');
  const seen: SeenParts = { parts: 0, mediaType: undefined };
  dicer.prependListener('part', (part: Dicer.PartStream) => {
    seen.parts++;
    part.on('header', (headers: Record<string, string[] | undefined>) => {
      seen.mediaType = headers['content-type']?.[0];
      const transfer = headers['content-transfer-encoding']?.[0] ?? 'binary';
      const isPlain = /^(?:7bit|8bit|binary)?$/i.test(transfer.trim()) && isIdentity(headers['content-encoding']?.[0]);
      if (!isPlain) fail(malformedPart(ENCODED));
    });
  });
  return seen;
}

const ENCODED = 'A part has a Content-Transfer-Encoding or Content-Encoding; send the bytes of the file themselves.';
const NO_FILE_NAME = 'A part has a Content-Type but no file name; give each file one (filename="photo.jpg").';

function malformedPart(detail: string): Problem {
  return new Problem('malformed-multipart', detail);
}

function malformed(cause: unknown): Problem {
  return new Problem('malformed-multipart', 'The multipart body is malformed or cut off; send it again.', { cause });
}

function openParser(headers: IncomingHttpHeaders): BusboyInstance {
  try {
    return new Busboy({ headers: headers as BusboyHeaders, limits: LIMITS, preservePath: true });
  } catch (error) {
    throw new Problem('malformed-multipart', NO_BOUNDARY, { cause: error });
  }
}

function linesOf(headers: IncomingHttpHeaders): BoundaryLines {
  return new BoundaryLines(boundaryOf(headers['content-type']) ?? '');
}

async function feed(
  body: Readable,
  parser: BusboyInstance,
  lines: BoundaryLines,
  standstill: Standstill,
): Promise<void> {
  parser.on('drain', () => standstill.goesOn());
  const pass = (pieces: Buffer[]) => pieces.reduce((_before, piece) => parser.write(piece), true);
  const sink: ByteSink = {
    write(chunk) {
      if (pass(lines.take(chunk))) return undefined;
      standstill.waits();
      return new Promise((resolve) => parser.once('drain', resolve));
    },
  };
  await readBody(body, sink, Number.POSITIVE_INFINITY, '');
  pass(lines.end());
  parser.end();
  standstill.waits();
}

/**
 * Notices that the parser takes no more although no part is open that could hold it up: at a part whose headers are too
 * long, busboy may neither ask for more, nor finish, nor fail.
 */
class Standstill {
  /** Parts whose files are being received. */
  open = 0;
  private waiting = false;
  private count = 0;

  constructor(private readonly found: () => void) {}

  /** The parser has been given what it can take, or all there is. */
  waits(): void {
    this.waiting = true;
    this.count++;
    void this.look();
  }

  goesOn(): void {
    this.waiting = false;
  }

  closed(): void {
    this.open--;
    this.count++;
    void this.look();
  }

  /** What the parser does by itself, it does within a few turns of the event loop. */
  private async look(): Promise<void> {
    const { count } = this;
    for (let turn = 0; turn < 3; turn++) {
      if (!this.waiting || this.open > 0) return;
      await setImmediate();
    }
    if (this.waiting && this.open === 0 && this.count === count) this.found();
  }
}

/** Undefined for the empty part that a browser sends for a file field without a file. */
async function receivePart(
  stream: BusboyFileStream,
  file: IncomingFile,
  fileName: string | undefined,
  mediaType: string | undefined,
  limit: SizeLimit,
): Promise<ReceivedFile | undefined> {
  let size = 0;
  const sink: ByteSink = {
    write(chunk) {
      size += chunk.length;
      return file.write(chunk);
    },
  };
  await readBody(stream, sink, limit.bytes, limit.detail).catch((error: unknown) => {
    throw error instanceof ClientGone ? malformed(error) : error;
  });
  if (size === 0 && !fileName) {
    await file.discard();
    return undefined;
  }
  return file.finish(extensionOf(fileName, mediaType));
}
