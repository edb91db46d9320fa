import type { IncomingMessage } from 'node:http';
import { Busboy, type BusboyFileStream, type BusboyHeaders, type BusboyInstance } from '@fastify/busboy';
import { type IncomingFile, type ReceivedFile, SMALL_FILE } from '../store/incoming-file.js';
import type { Store } from '../store/store.js';
import { type ByteSink, ClientGone, readBody } from './body.js';
import { extensionOf } from './extension.js';
import { Problem } from './problems.js';

/** Files in one request. */
const MAX_FILES = 1000;
/** Other fields are not kept, so they need not be long; a part's headers neither. */
const LIMITS = { files: MAX_FILES, fieldSize: 64 * 1024, headerSize: 16 * 1024 };

/** How large a file may be, and how to say so. */
export interface SizeLimit {
  bytes: number;
  detail: string;
}

/**
 * Receives every file part of a multipart/form-data body. All or nothing: when it rejects, nothing of them is kept.
 * Rejects with a Problem, with ClientGone, or with a StoreError.
 */
export async function receiveMultipart(
  request: IncomingMessage,
  announced: number | undefined,
  store: Store,
  limit: SizeLimit,
): Promise<ReceivedFile[]> {
  const parser = openParser(request);
  const files: IncomingFile[] = [];
  const parts: Promise<ReceivedFile | undefined>[] = [];
  let failPart: (error: unknown) => void = () => {};
  const partFailed = new Promise<never>((_, reject) => {
    failPart = reject;
  });
  parser.on('file', (_field, stream, fileName, _encoding, mediaType) => {
    const file = store.receive(undefined);
    files.push(file);
    const part = receivePart(stream, file, fileName, mediaType, limit);
    // Whichever part fails first ends the whole request.
    part.catch(failPart);
    parts.push(part);
  });
  let fields = 0;
  parser.on('field', () => {
    fields++;
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
    await Promise.race([Promise.all([feed(request, announced, parser), parsed]), partFailed]);
    for (const file of await Promise.all(parts)) if (file) received.push(file);
    if (partsSeen(parser) !== parts.length + fields) throw malformed(new Error('a part has no usable headers'));
    if (received.length === 0) {
      throw new Problem('no-file', 'The multipart body has no file part; send one, as in curl -F file=@photo.jpg.');
    }
    return received;
  } catch (error) {
    // The rest is of no use, and the parser may never ask for it again: let it flow away.
    request.removeAllListeners('data');
    request.resume();
    parser.destroy();
    for (const file of received) file.release();
    await Promise.all(files.map((file) => file.discard()));
    throw error;
  }
}

/**
 * How many parts there were. busboy passes over a part whose headers it cannot use (no Content-Disposition, or too
 * late, or a bare line break in them) without a word; but a request is stored whole or not at all.
 */
function partsSeen(parser: BusboyInstance): number {
  const multipart: unknown = Reflect.get(parser, '_parser');
  const seen: unknown = typeof multipart === 'object' && multipart !== null ? Reflect.get(multipart, '_nparts') : null;
  if (typeof seen !== 'number')
    throw new Error('@fastify/busboy does not count its parts any more; pin its last version');
  return seen;
}

function malformed(cause: unknown): Problem {
  return new Problem('malformed-multipart', 'The multipart body is malformed or cut off; send it again.', { cause });
}

function openParser(request: IncomingMessage): BusboyInstance {
  try {
    return new Busboy({ headers: request.headers as BusboyHeaders, limits: LIMITS });
  } catch (error) {
    throw new Problem('malformed-multipart', 'The Content-Type has no usable boundary.', { cause: error });
  }
}

/** Small bodies are parsed in one piece, without the machinery that streaming them through needs. */
async function feed(request: IncomingMessage, announced: number | undefined, parser: BusboyInstance): Promise<void> {
  if (announced !== undefined && announced <= SMALL_FILE) {
    const chunks: Buffer[] = [];
    await readBody(request, { write: (chunk) => void chunks.push(chunk) }, announced, '');
    parser.end(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
    return;
  }
  const sink: ByteSink = {
    write(chunk) {
      if (parser.write(chunk)) return undefined;
      return new Promise((resolve) => parser.once('drain', resolve));
    },
  };
  await readBody(request, sink, Number.POSITIVE_INFINITY, '');
  parser.end();
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
