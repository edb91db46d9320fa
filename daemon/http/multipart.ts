import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import {
  getMultipartBoundary,
  MultipartParseError,
  type MultipartPart,
  parseMultipart,
} from '@remix-run/multipart-parser';
import { errorCode } from '../store/errors.js';
import { type IncomingFile, type ReceivedFile, SMALL_FILE } from '../store/incoming-file.js';
import type { Reservation } from '../store/reservation.js';
import type { Store } from '../store/store.js';
import { readBody } from './body.js';
import { extensionOf } from './extension.js';
import { MAX_FILES, receiveStream, type SizeLimit } from './multipart-stream.js';

/** The headers that browsers, curl and most libraries write. */
const PLAIN_DISPOSITION = /^form-data; ?name="[^"\\\r\n]*"(?:; ?filename="([^"\\\r\n]*)")?$/;
const PLAIN_TYPE = /^[\w!#$&^.+/-]*$/;

/** One file part of a body, in memory. */
interface FilePart {
  content: Buffer;
  fileName: string | undefined;
  mediaType: string | undefined;
}

/**
 * Receives every file part of a multipart/form-data body. All or nothing: when it rejects, nothing of them is kept.
 * Rejects with a Problem, with ClientGone, or with a StoreError.
 *
 * A small body is split where it lies in memory, which costs a fifth of streaming it through busboy. What is not plainly
 * well-formed goes to busboy all the same: what is taken, and what an error says, is one parser's word.
 */
export async function receiveMultipart(
  request: IncomingMessage,
  announced: number | undefined,
  store: Store,
  limit: SizeLimit,
): Promise<ReceivedFile[]> {
  if (announced === undefined) return receiveStream(request.headers, request, store, limit);
  const room = store.reserveWhole(announced);
  try {
    if (announced > SMALL_FILE) return await receiveStream(request.headers, request, store, limit, room);
    return await receiveSmall(request, announced, store, limit, room);
  } finally {
    // What the parts did not take: boundaries and headers.
    room?.release();
  }
}

async function receiveSmall(
  request: IncomingMessage,
  announced: number,
  store: Store,
  limit: SizeLimit,
  room: Reservation | undefined,
): Promise<ReceivedFile[]> {
  const { headers } = request;
  const chunks: Buffer[] = [];
  await readBody(request, { write: (chunk) => void chunks.push(chunk) }, announced, '');
  const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
  const parts = split(body, headers['content-type'] ?? '');
  if (!parts || parts.length === 0 || parts.some(({ content }) => content.length > limit.bytes)) {
    return receiveStream(headers, Readable.from([body], { objectMode: false }), store, limit, room);
  }
  return receiveParts(parts, store, room);
}

/** The file parts of a whole body; undefined when it is not plainly well-formed. */
function split(body: Buffer, contentType: string): FilePart[] | undefined {
  const boundary = getMultipartBoundary(contentType);
  if (boundary === null) return undefined;
  const limits = { maxFileSize: SMALL_FILE, maxTotalSize: SMALL_FILE, maxParts: MAX_FILES };
  try {
    const files: FilePart[] = [];
    const delimiter = Buffer.from(`--${boundary}`);
    let length = delimiter.length + '--\r\n'.length;
    for (const part of parseMultipart(body, { boundary, ...limits })) {
      const disposition = PLAIN_DISPOSITION.exec(part.headers['content-disposition'] ?? '');
      const mediaType = part.headers['content-type'];
      if (!disposition || !PLAIN_TYPE.test(mediaType ?? '') || isUnusual(part)) return undefined;
      length += delimiter.length + '\r\n'.length + lengthOf(part);
      const fileName = disposition[1];
      const isFile = fileName !== undefined || mediaType?.toLowerCase() === 'application/octet-stream';
      if (!isFile && mediaType !== undefined) return undefined;
      const content = contentOf(part);
      // The line break that ends the headers makes a delimiter of what follows (RFC 2046, 5.1.1); this parser takes it for content.
      if (content.subarray(0, delimiter.length).equals(delimiter)) return undefined;
      // The empty part that a browser sends for a file field without a file.
      if (isFile && (content.length > 0 || fileName)) files.push({ content, fileName, mediaType });
    }
    // The parser passes over lines that are no headers, and what stands behind the end.
    return length === body.length ? files : undefined;
  } catch (error) {
    // The second is for headers that are not UTF-8.
    if (error instanceof MultipartParseError || errorCode(error) === 'ERR_ENCODING_INVALID_ENCODED_DATA')
      return undefined;
    throw error;
  }
}

/** Whether the part has headers that say more than what it is called and what it is. */
function isUnusual({ headers }: MultipartPart): boolean {
  return headers['content-transfer-encoding'] !== undefined || headers['content-encoding'] !== undefined;
}

/** The part's bytes, where they lie: a whole body has them in one piece. */
function contentOf({ content }: MultipartPart): Buffer {
  const [only] = content;
  if (content.length !== 1 || only === undefined) return Buffer.concat(content);
  return Buffer.from(only.buffer, only.byteOffset, only.length);
}

/** The bytes of a part as it stands in a body when nothing is there but what the parser tells of. */
function lengthOf({ headers, content }: MultipartPart): number {
  let length = '\r\n\r\n'.length;
  for (const [name, value = ''] of Object.entries(headers)) {
    length += name.length + ': '.length + Buffer.byteLength(value) + '\r\n'.length;
  }
  for (const chunk of content) length += chunk.length;
  return length;
}

/** Takes in all parts, or none. */
async function receiveParts(
  parts: readonly FilePart[],
  store: Store,
  room: Reservation | undefined,
): Promise<ReceivedFile[]> {
  const files: IncomingFile[] = [];
  try {
    const received: ReceivedFile[] = [];
    for (const { content, fileName, mediaType } of parts) {
      const file = store.receive(content.length, room);
      files.push(file);
      await file.write(content);
      received.push(await file.finish(extensionOf(fileName, mediaType)));
    }
    return received;
  } catch (error) {
    await Promise.all(files.map((file) => file.discard()));
    throw error;
  }
}
