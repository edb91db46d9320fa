import { FidfsError } from './error.js';
import { pathOf } from './identifier.js';
import { uploadKnown } from './known.js';
import { endOf, jwt, signedQuery } from './signing.js';
import { type Init, queryOf, Transport } from './transport.js';
import type {
  BatchResult,
  Deleted,
  FidfsOptions,
  FileInformation,
  KnownOptions,
  LinkOptions,
  ListedFile,
  ListOptions,
  StoredFile,
  TokenOptions,
  UploadData,
  UploadOptions,
} from './types.js';
import { cancel, upload } from './upload.js';

const RESUMABLE_FROM_BYTES = 8 * 2 ** 20;
/** The most IDs, and about the most bytes, that the server takes in one request. */
const BATCH_IDS = 1000;
const BATCH_BYTES = 200_000;
const PAGE_FILES = 1000;

/** A client of one cluster. Each method rejects with a FidfsError, or with the reason of its signal. */
export class Fidfs {
  private readonly transport: Transport;

  constructor(private readonly options: FidfsOptions) {
    this.transport = new Transport(options);
  }

  /** Stores a file; from `resumableFrom` bytes on by tus, so that it goes on where a connection broke. */
  async upload(data: UploadData, options: UploadOptions = {}): Promise<StoredFile> {
    return await upload(this.transport, data, options, this.options.resumableFrom ?? RESUMABLE_FROM_BYTES);
  }

  /**
   * Stores a file that the server has already, without sending it. Resolves with undefined if it does not have it, for files
   * below 64 KiB, for streams, and in browsers above 256 MiB or without WebCrypto: then `upload` is to be called.
   */
  async uploadKnown(data: UploadData, options: KnownOptions = {}): Promise<StoredFile | undefined> {
    return await uploadKnown(this.transport, data, options);
  }

  /** Removes what the server received of an unfinished upload; `upload` is what `onResumable` said. */
  async cancel(upload: string): Promise<void> {
    await cancel(this.transport, upload);
  }

  /**
   * Deletes a file, with its slaves unless `slaves` is `keep`. `not-found` is no error. For many IDs: a result for each, which
   * may name a problem.
   */
  async delete(id: string, options?: { slaves?: 'keep'; signal?: AbortSignal }): Promise<Deleted>;
  async delete(ids: readonly string[], options?: { slaves?: 'keep'; signal?: AbortSignal }): Promise<BatchResult[]>;
  async delete(
    ids: string | readonly string[],
    { slaves, signal }: { slaves?: 'keep'; signal?: AbortSignal } = {},
  ): Promise<Deleted | BatchResult[]> {
    const query = queryOf({ slaves });
    if (typeof ids !== 'string') return await this.many(`/delete${query}`, ids, signal);
    return await this.deleteOne(ids, query, signal);
  }

  /** What is known of a stored file; undefined if there is none. For many IDs: a result for each. */
  async stat(id: string, options?: { signal?: AbortSignal }): Promise<ListedFile | undefined>;
  async stat(ids: readonly string[], options?: { signal?: AbortSignal }): Promise<BatchResult[]>;
  async stat(
    ids: string | readonly string[],
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<ListedFile | undefined | BatchResult[]> {
    if (typeof ids !== 'string') return await this.many('/stat', ids, signal);
    const [result] = await this.many('/stat', [ids], signal);
    if (result?.status === 'not-found') return undefined;
    if (result?.status !== 'stored') throw new FidfsError(result?.status ?? 'unknown', 200, result?.detail ?? '');
    const { status, ...file } = result;
    return file as ListedFile;
  }

  /** The files of the cluster by time, page by page. */
  async *list(options: ListOptions = {}): AsyncGenerator<ListedFile, void, undefined> {
    const { from, to, order, group, ext, pageSize = PAGE_FILES, signal } = options;
    const parameters = { from: timeOf(from), to: timeOf(to), order, group, ext, limit: pageSize };
    for (let after: string | undefined; ; ) {
      const path = `/files${queryOf({ ...parameters, after })}`;
      const page = await this.transport.json<{ files: ListedFile[]; next?: string }>(path, { signal });
      yield* page.files;
      if (page.next === undefined) return;
      after = page.next;
    }
  }

  /** What an ID contains, whether or not its file exists. */
  async info(id: string, { signal }: { signal?: AbortSignal } = {}): Promise<FileInformation> {
    return await this.transport.json(`/info${pathOf(id)}${await this.signature(id)}`, { signal });
  }

  /** The file itself: `body` is a stream. `headers` may have a `Range`. */
  async download(id: string, init: { signal?: AbortSignal; headers?: Record<string, string> } = {}): Promise<Response> {
    return await this.request(`${pathOf(id)}${await this.signature(id)}`, { ...init, timeout: 0 });
  }

  async metadata(id: string, { signal }: { signal?: AbortSignal } = {}): Promise<Record<string, string>> {
    return await this.transport.json(`/metadata${pathOf(id)}`, { signal });
  }

  /** Replaces the metadata of a file. */
  async setMetadata(
    id: string,
    metadata: Record<string, string>,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<void> {
    const headers = { 'Content-Type': 'application/json' };
    const init: Init = { method: 'PUT', body: JSON.stringify(metadata), headers, signal };
    await this.transport.request(`/metadata${pathOf(id)}`, init, async () => {});
  }

  /** The address of a file that is not private. */
  url(id: string, { download }: { download?: string } = {}): string {
    return this.publicUrl + pathOf(id) + queryOf({ download });
  }

  /** The address of a smaller picture of a file that is not private. */
  pictureUrl(preset: string, id: string): string {
    return `${this.publicUrl}/picture/${encodeURIComponent(preset)}${pathOf(id)}`;
  }

  /** A link to a private file, or with `preset` to its picture, by default for an hour. Needs `downloadKey`. */
  async signedUrl(id: string, options: LinkOptions = {}): Promise<string> {
    const { downloadKey } = this.options;
    if (downloadKey === undefined) throw new TypeError('links are signed with downloadKey, which is not given');
    if (id.split('/').length !== 5)
      throw new FidfsError('bad-id', 0, `not a whole ID, for which links are: ${id.slice(0, 200)}`);
    const address = options.preset === undefined ? this.url(id) : this.pictureUrl(options.preset, id);
    return address + (await signedQuery(downloadKey, id, options));
  }

  /** A token with which a browser may upload, by default for an hour (docs/keys.md). */
  async uploadToken(options: TokenOptions = {}): Promise<string> {
    const { keyName, maxSize, types, group } = options;
    const secret = options.secret ?? (await this.transport.key());
    if (secret === undefined) throw new TypeError('tokens are signed with a key, which is not given');
    return await jwt(secret, keyName, { exp: endOf(options), maxSize, types, group });
  }

  /** Sends another request, with the key; `path` begins with a slash. */
  async request(path: string, init: Init = {}): Promise<Response> {
    return await this.transport.request(path, init, async (answer) => answer);
  }

  private get publicUrl(): string {
    return this.options.publicUrl?.replace(/\/+$/, '') ?? this.transport.servers.first;
  }

  private async signature(id: string): Promise<string> {
    const { downloadKey } = this.options;
    return downloadKey === undefined ? '' : await signedQuery(downloadKey, id, {});
  }

  private async deleteOne(id: string, query: string, signal: AbortSignal | undefined): Promise<Deleted> {
    try {
      return await this.transport.request(pathOf(id) + query, { method: 'DELETE', signal }, async (answer) => {
        if (answer.status === 204) return { id, status: 'deleted' };
        const { copies, wanted } = (await answer.json()) as { copies: number; wanted: number };
        return { id, status: 'accepted', copies, wanted };
      });
    } catch (error) {
      if (error instanceof FidfsError && error.status === 404) return { id, status: 'not-found' };
      throw error;
    }
  }

  private async many(path: string, ids: readonly string[], signal: AbortSignal | undefined): Promise<BatchResult[]> {
    const results: BatchResult[] = [];
    for (const batch of batchesOf(ids)) {
      const answer = await this.transport.ask<{ results: BatchResult[] }>(path, { ids: batch }, signal);
      results.push(...answer.results);
    }
    return results;
  }
}

/** Splits IDs into what one request may have. */
function* batchesOf(ids: readonly string[]): Generator<string[]> {
  let batch: string[] = [];
  let bytes = 0;
  for (const id of ids) {
    const size = id.length * 3;
    if (batch.length === BATCH_IDS || (batch.length > 0 && bytes + size > BATCH_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(id);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

function timeOf(time: Date | string | number | undefined): string | number | undefined {
  return time instanceof Date ? time.toISOString() : time;
}
