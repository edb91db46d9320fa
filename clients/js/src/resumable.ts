import type { HttpRequest, HttpResponse, Upload } from 'tus-js-client';
import { chunkOf } from '#platform';
import { asFidfsError, errorOf, FidfsError, networkError } from './error.js';
import { passes } from './servers.js';
import { fileName, type Source } from './source.js';
import { queryOf, type Transport } from './transport.js';
import type { UploadOptions } from './types.js';

const CHUNK_BYTES = 8 * 2 ** 20;

/** Loaded only when a resumable upload begins. */
type Tus = typeof import('tus-js-client');

/** An upload by tus, which goes on where it stopped, at another server too. */
export class Resumable {
  /** Last part of the address of the upload, the same on all servers; undefined before it is created. */
  private name: string | undefined;
  private sent = 0;

  constructor(
    private readonly transport: Transport,
    private readonly source: Source,
    private readonly options: UploadOptions,
  ) {
    this.name = options.resume === undefined ? undefined : nameOf(options.resume);
  }

  /** Resolves with the file. Rejects with a FidfsError, or with the signal's reason. */
  async send(): Promise<{ id: string; url: string }> {
    const tus = await loaded();
    return await this.transport.servers.attempt((server) => this.attempt(tus, server), {
      signal: this.options.signal,
      isPassing: (error) => passes(error) || error.status === 409 || error.problem === 'upload-lost',
      position: () => this.sent,
    });
  }

  private async attempt(tus: Tus, server: string): Promise<{ id: string; url: string }> {
    const { signal } = this.options;
    let upload: Upload | undefined;
    let stop = () => {};
    try {
      const answer = await new Promise<HttpResponse>((resolve, reject) => {
        stop = () => reject(signal?.reason);
        signal?.addEventListener('abort', stop, { once: true });
        upload = this.uploadTo(tus, server, resolve, reject);
        upload.start();
      });
      const id = answer.getHeader('Fidfs-Id');
      if (!id) throw new FidfsError('unknown', answer.getStatus(), 'the answer has no ID');
      return { id, url: answer.getHeader('Fidfs-Url') ?? `${server}/${id}` };
    } catch (error) {
      // Expired on the server; the next attempt creates a new one.
      if (this.name !== undefined && [404, 410].includes(asFidfsError(error).status)) {
        this.name = undefined;
        this.sent = 0;
        throw new FidfsError('upload-lost', 410, 'the upload has expired');
      }
      throw error;
    } finally {
      signal?.removeEventListener('abort', stop);
      void upload?.abort();
    }
  }

  private uploadTo(
    tus: Tus,
    server: string,
    done: (answer: HttpResponse) => void,
    failed: (error: unknown) => void,
  ): Upload {
    const { source, transport, options } = this;
    const { ext, group, onProgress } = options;
    const size = source.size as number;
    const filename = ext === undefined ? fileName(source, options) : `file.${ext}`;
    // What is sent comes from `fileReader`.
    const upload: Upload = new tus.Upload(new Blob(), {
      endpoint: `${server}/tus/${queryOf({ group })}`,
      uploadUrl: this.name === undefined ? null : `${server}/tus/${this.name}`,
      uploadSize: size,
      metadata: { ...(filename ? { filename } : {}), ...(source.type ? { filetype: source.type } : {}) },
      chunkSize: CHUNK_BYTES,
      // `Servers` retries instead.
      retryDelays: null,
      storeFingerprintForResuming: false,
      fingerprint: async () => '',
      fileReader: { openFile: async () => readerOf(source, size) },
      // Before each request, because a key or token may be replaced during a long upload.
      onBeforeRequest: async (request) => {
        for (const [header, value] of Object.entries(await transport.authorization())) {
          request.setHeader(header, value);
        }
      },
      onAfterResponse: (request, answer) => checkState(request, answer, size),
      onUploadUrlAvailable: () => {
        // The server returns its public address, which may not be the one that this client uses.
        if (!upload.url) return;
        this.name = nameOf(upload.url);
        upload.url = `${server}/tus/${this.name}`;
        options.onResumable?.(upload.url);
      },
      onProgress: (bytes) => {
        this.sent = bytes;
        onProgress?.(bytes, size);
      },
      onSuccess: ({ lastResponse }) => done(lastResponse),
      onError: (error) => failed(errorOfTus(tus, error)),
    });
    return upload;
  }
}

async function loaded(): Promise<Tus> {
  return await import('tus-js-client');
}

function nameOf(upload: string): string {
  return upload.slice(upload.lastIndexOf('/') + 1);
}

function readerOf(source: Source, size: number) {
  return {
    size,
    slice: async (start: number, end: number) => {
      const part = await source.slice?.(start, Math.min(end, size));
      return { value: part && (await chunkOf(part)), done: end >= size };
    },
    close: () => {},
  };
}

/**
 * Checks the answer to the HEAD for the offset. By default tus-js-client creates a new upload after any error response to it, and goes
 * on with an upload of any length.
 */
function checkState(request: HttpRequest, answer: HttpResponse, size: number): void {
  if (request.getMethod() !== 'HEAD') return;
  const status = answer.getStatus();
  if (status === 404 || status === 410) return;
  if (status >= 400) throw errorOfAnswer(answer);
  if (answer.getHeader('Upload-Length') !== String(size))
    throw new FidfsError('upload-lost', 410, 'the upload is that of data of another size');
}

function errorOfTus(tus: Tus, error: Error): FidfsError {
  if (!(error instanceof tus.DetailedError)) return asFidfsError(error);
  const { causingError, originalResponse } = error;
  if (causingError instanceof FidfsError || causingError instanceof DOMException) return asFidfsError(causingError);
  if (originalResponse) return errorOfAnswer(originalResponse);
  return networkError(causingError);
}

function errorOfAnswer(answer: HttpResponse): FidfsError {
  return errorOf(answer.getStatus(), answer.getBody(), answer.getHeader('Retry-After'));
}

/** Terminates an upload that was not finished; the server removes what it received. */
export async function cancel(transport: Transport, upload: string): Promise<void> {
  const headers = { 'Tus-Resumable': '1.0.0' };
  await transport.request(`/tus/${nameOf(upload)}`, { method: 'DELETE', headers }, async () => {});
}
