import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { type IncomingFile, type ReceivedFile, SMALL_FILE } from '../store/incoming-file.js';
import type { Reservation } from '../store/reservation.js';
import type { Store } from '../store/store.js';
import { readBody } from './body.js';
import { extensionOf } from './extension.js';
import { boundaryOf } from './multipart-lines.js';
import { LIMITS, MAX_FILES, receiveStream, type SizeLimit } from './multipart-stream.js';

/** The lines between a boundary and the content of its part, as browsers, curl and most libraries write them. */
const PLAIN_HEADERS =
  /^\r\nContent-Disposition: form-data; ?name="[^"\\\r\n]*"(?:; ?filename="([^"\\\r\n]*)")?\r\n(?:Content-Length: \d+\r\n)?(?:Content-Type: ([\w!#$&^.+/-]+)\r\n)?(?:Content-Length: \d+\r\n)?$/i;
/** What stands behind the last boundary. */
const LAST_LINE = '--\r\n';

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
 * A small body in the form of PLAIN_HEADERS is split where it lies in memory: a whole upload by way of busboy takes 1.5 times
 * the CPU at 1 KB and 1.4 times at 100 KB, and 1.2 times where busboy's Dicer is given the body as one chunk. All other
 * bodies go to busboy: what is taken, and what an error says, is one parser's word (docs/decisions/multipart-by-busboy.md).
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
  const boundary = boundaryOf(headers['content-type']);
  const parts = boundary === undefined ? undefined : split(body, boundary);
  if (!parts || parts.length === 0 || parts.some(({ content }) => content.length > limit.bytes)) {
    return receiveStream(headers, Readable.from([body], { objectMode: false }), store, limit, room);
  }
  return receiveParts(parts, store, room);
}

/** The file parts of a whole body; undefined when any byte of it stands where PLAIN_HEADERS and RFC 2046 have none. */
function split(body: Buffer, boundary: string): FilePart[] | undefined {
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  const first = delimiter.subarray(2);
  if (!body.subarray(0, first.length).equals(first)) return undefined;
  const files: FilePart[] = [];
  let at = first.length;
  for (let count = 0; body.length - at > LAST_LINE.length; ) {
    const lines = body.indexOf('\r\n\r\n', at) + 2;
    if (lines < at || lines - at > LIMITS.headerSize) return undefined;
    const headers = PLAIN_HEADERS.exec(body.toString('utf8', at, lines));
    const start = lines + 2;
    // The line break that ends the headers may begin a delimiter (RFC 2046, 5.1.1), so the search begins there.
    const end = body.indexOf(delimiter, start - 2);
    if (!headers || end < start) return undefined;
    at = end + delimiter.length;
    const [, fileName, mediaType] = headers;
    const isFile = fileName !== undefined || mediaType?.toLowerCase() === 'application/octet-stream';
    if (!isFile) {
      if (mediaType !== undefined) return undefined;
      continue;
    }
    if (++count > MAX_FILES) return undefined;
    // The empty part that a browser sends for a file field without a file.
    if (end > start || fileName) files.push({ content: body.subarray(start, end), fileName, mediaType });
  }
  return body.toString('latin1', at) === LAST_LINE ? files : undefined;
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
