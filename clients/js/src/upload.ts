import { send } from '#platform';
import { errorOf, FidfsError } from './error.js';
import { decoded } from './identifier.js';
import { open } from './open.js';
import { cancel, Resumable } from './resumable.js';
import { fileName, type Source } from './source.js';
import { queryOf, type Transport } from './transport.js';
import type { StoredFile, UploadData, UploadOptions } from './types.js';

/** Returns the one file of an upload's response. */
export function storedIn(answer: unknown): StoredFile {
  const { files } = answer as { files?: StoredFile[] };
  const file = files?.[0];
  if (!file) throw new FidfsError('unknown', 201, 'the answer has no file');
  return file;
}

/** Stores data: in one request, or resumably from `resumableFrom` bytes on. */
export async function upload(
  transport: Transport,
  data: UploadData,
  options: UploadOptions,
  resumableFrom: number,
): Promise<StoredFile> {
  options.signal?.throwIfAborted();
  const source = await open(data, options.size);
  try {
    if (isResumable(source, options, resumableFrom)) return await sendInPieces(transport, source, options);
    return await sendWhole(transport, source, options);
  } finally {
    await source.close();
  }
}

function isResumable(source: Source, options: UploadOptions, from: number): boolean {
  if (source.slice === undefined || source.size === undefined || options.master !== undefined) return false;
  return options.resumable ?? (options.resume !== undefined || source.size >= from);
}

/** The media type that is sent: not one for which the server would take the body as a form. */
function typeOf({ type }: Source): string {
  return type && !type.startsWith('multipart/') ? type : 'application/octet-stream';
}

async function sendWhole(transport: Transport, source: Source, options: UploadOptions): Promise<StoredFile> {
  const { ext, group, master, prefix, signal, onProgress } = options;
  const filename = ext === undefined ? fileName(source, options) : undefined;
  const path = `/upload${queryOf({ filename, ext, group, master, prefix })}`;
  const attempt = async (server: string) => {
    const headers: Record<string, string> = { ...(await transport.authorization()), 'Content-Type': typeOf(source) };
    if (source.slice === undefined && source.size !== undefined) headers['Content-Length'] = String(source.size);
    const answer = await send(server + path, {
      headers,
      body: await source.body(),
      signal,
      onProgress: onProgress && ((sent) => onProgress(sent, source.size)),
      fetch: transport.fetch,
    });
    if (answer.status !== 201) throw errorOf(answer.status, answer.body, answer.header('Retry-After'));
    return storedIn(JSON.parse(answer.body));
  };
  const stored = await transport.servers.attempt(attempt, { signal, isRepeatable: () => source.slice !== undefined });
  onProgress?.(stored.size, source.size);
  return stored;
}

async function sendInPieces(transport: Transport, source: Source, options: UploadOptions): Promise<StoredFile> {
  const { id, url } = await new Resumable(transport, source, options).send();
  return { id, url, size: source.size as number, ...decoded(id) };
}

export { cancel };
