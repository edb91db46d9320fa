import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { DataStore, Metadata, Server, Upload } from '@tus/server';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem, type ProblemName } from '../operations/problems.js';
import { assertUploadsAreTaken, waitForCopies } from '../operations/uploads.js';
import type { Node } from '../status.js';
import type { ReceivedFile } from '../store/incoming-file.js';
import type { StoredFile } from '../store/records.js';
import {
  NoSuchUpload,
  NotKept,
  type Piece,
  RESUMABLE_LIFETIME_MILLISECONDS,
  ResumableUploads,
  UploadDamaged,
} from '../store/resumable.js';
import type { ResumableUpload } from '../store/resumable-records.js';
import { counted } from '../words.js';
import { readBody } from './body.js';
import { extensionOf } from './extension.js';
import { fileUrl, publicBase, uploadLocation } from './public-address.js';
import { assertExtension, assertTypes } from './rights/file-types.js';
import { accessOf, assertGroup, sizeLimitOf } from './rights/limits.js';
import { CHECKSUM_ALGORITHMS, ExpectedChecksum } from './tus-checksum.js';
import { Locks } from './tus-locks.js';
import { assertNotEncoded } from './whole-body.js';

/** Path of resumable uploads. */
export const TUS_PATH = '/tus';
const VERSION = '1.0.0';
/** Methods that `X-HTTP-Method-Override` may name, for clients that can send POST only. */
const OVERRIDES = ['PATCH', 'HEAD', 'DELETE'];
/** Headers of the library's answers that are sent to the client; no CORS headers. */
const ANSWERED_HEADERS = [
  ...['location', 'cache-control', 'upload-offset', 'upload-length', 'upload-metadata', 'upload-expires'],
  ...['tus-version', 'tus-extension', 'tus-max-size'],
];
/** Problems by the status of the library's answer. */
const PROBLEMS: Record<number, ProblemName> = {
  404: 'not-found',
  409: 'offset-conflict',
  410: 'upload-expired',
  413: 'too-large',
};
const SWEEP_MILLISECONDS = 60_000;
const BEYOND_END = 'The piece reaches beyond the end of the upload.';

/** State of one request, kept in async local storage because the library does not pass it to the data store. */
interface Context {
  request: FastifyRequest;
  checksum: ExpectedChecksum | undefined;
  /** The ID of the stored file if the upload is complete. */
  file: string | null;
  /** The error that the data store threw. */
  failure: unknown;
}

/** Called with the last request of an upload and the file stored from it. */
export type OnStored = (request: FastifyRequest, file: StoredFile) => void;

/**
 * Resumable uploads by the tus protocol (https://tus.io/protocols/resumable-upload, 1.0.0). The library implements the
 * protocol, the store keeps the partial uploads. Bodies are read by `readBody`, as for all uploads, not by the library.
 */
export class Tus {
  private readonly current = new AsyncLocalStorage<Context>();
  private readonly locks = new Locks();
  private readonly uploads: ResumableUploads;
  private readonly server: Server;
  private readonly sweeping: NodeJS.Timeout;

  /** @param onStored called for each upload that is stored as a file */
  constructor(
    private readonly node: Pick<Node, 'settings' | 'store' | 'index' | 'copyPolicy'>,
    private readonly onStored: OnStored,
    warn: (message: string, error: unknown) => void,
  ) {
    const { settings, store, index } = node;
    const flushes = settings.sync !== 'off';
    this.uploads = new ResumableUploads(store, index.resumable, (received) => this.keep(received), flushes, warn);
    this.server = new Server({
      path: TUS_PATH,
      datastore: this.createDataStore(),
      locker: this.locks,
      maxSize: settings.maxFileSize,
      relativeLocation: true,
      allowedOrigins: [],
      // The server id in the name is how every node's nginx finds the node that has the upload.
      namingFunction: () => `${settings.serverId}-${randomBytes(16).toString('hex')}`,
      onResponseError: (_request, error) => {
        this.context.failure = error;
        return undefined;
      },
    });
    const sweep = () => this.uploads.sweep().catch((error) => warn('expired uploads could not be removed', error));
    void sweep();
    this.sweeping = setInterval(sweep, SWEEP_MILLISECONDS).unref();
  }

  /**
   * Answers a request. Rejects with the Problem, or with the error of the store, that must be answered.
   * @param base the base of public addresses; by default `publicUrl` or that of the request
   */
  async answer(
    request: FastifyRequest,
    reply: FastifyReply,
    base = publicBase(request, this.node.settings),
  ): Promise<FastifyReply> {
    reply.header('tus-resumable', VERSION);
    const method = methodOf(request);
    if (method !== 'OPTIONS' && request.headers['tus-resumable'] !== VERSION) {
      reply.header('tus-version', VERSION);
      throw new Problem('precondition-failed', `Send "Tus-Resumable: ${VERSION}".`);
    }
    assertNotEncoded(request.headers);
    assertGroup(accessOf(request), this.node.settings.group);
    const checksum = ExpectedChecksum.of(request.headers['upload-checksum']);
    const context: Context = { request, checksum, file: null, failure: undefined };
    const asked = new Request(new URL(request.url, 'http://fidfs'), {
      method,
      headers: headersFor(request),
    });
    const answer = await this.current.run(context, () => this.server.handleWeb(asked));
    if (answer.status >= 400) await this.refuse(answer, context);
    for (const name of ANSWERED_HEADERS) {
      const value = answer.headers.get(name);
      if (value !== null) reply.header(name, name === 'location' ? uploadLocation(base, value) : value);
    }
    if (method === 'OPTIONS') reply.header('tus-checksum-algorithm', CHECKSUM_ALGORITHMS.join(','));
    if (context.file !== null) {
      reply.header('fidfs-id', context.file);
      reply.header('fidfs-url', fileUrl(this.node.settings, base, context.file));
    }
    return reply.code(answer.status).send();
  }

  /**
   * Interrupts all bodies being received and stops the sweeps. The bytes received are kept, so that clients can resume after
   * a restart.
   */
  stop(): void {
    clearInterval(this.sweeping);
    this.locks.interruptAll();
  }

  private get context(): Context {
    const context = this.current.getStore();
    if (!context) throw new Error('there is no request under way');
    return context;
  }

  private async refuse(answer: Response, { failure }: Context): Promise<never> {
    if (failure instanceof NoSuchUpload) throw new Problem('not-found', 'The upload does not exist, or has expired.');
    if (failure instanceof UploadDamaged) {
      throw new Problem(
        'upload-damaged',
        'The received part of this upload is damaged on the disk of the node; start again.',
      );
    }
    if (failure instanceof Error) throw failure;
    const { maxFileSize } = this.node.settings;
    const tooLarge = `A file may have up to ${counted(maxFileSize, 'byte')} here, and a piece no more than its upload still lacks.`;
    const detail = answer.status === 413 ? tooLarge : (await answer.text()).trim();
    throw new Problem(PROBLEMS[answer.status] ?? 'bad-request', detail === '' ? 'The request is malformed.' : detail);
  }

  private createDataStore(): DataStore {
    const store = new DataStore();
    store.extensions = ['creation', 'creation-with-upload', 'termination', 'expiration', 'checksum'];
    store.getExpiration = () => RESUMABLE_LIFETIME_MILLISECONDS;
    store.create = (upload) => this.create(upload);
    store.getUpload = async (id) => this.describe(await this.look(id));
    store.write = (_body, id, offset) => this.append(id, offset);
    store.remove = (id) => this.remove(id);
    return store;
  }

  private async create(upload: Upload): Promise<Upload> {
    assertUploadsAreTaken(this.node);
    const { id, size = 0, metadata = {} } = upload;
    const extension = extensionOf(metadata.filename ?? metadata.name ?? '', metadata.filetype ?? metadata.type ?? '');
    this.assertPermitted({ size, extension });
    await this.uploads.create({ id, size, extension, metadata: Metadata.stringify(metadata) });
    if (size === 0) this.describe(await this.look(id));
    return upload;
  }

  private async look(id: string): Promise<ResumableUpload> {
    const upload = this.uploads.find(id);
    if (upload.file === null) this.assertPermitted(upload);
    return this.removingForbidden(id, () => this.uploads.look(id));
  }

  /**
   * Throws a Problem (`too-large`, `type-not-allowed`) if the limits of this request exclude the upload as a whole. The request that
   * created it may have had others: an upload token is valid for a day at most.
   */
  private assertPermitted({ size, extension }: Pick<ResumableUpload, 'size' | 'extension'>): void {
    const access = accessOf(this.context.request);
    const { bytes, detail } = sizeLimitOf(access, this.node.settings.maxFileSize);
    if (size > bytes) throw new Problem('too-large', detail);
    assertExtension(access, extension);
  }

  /** Removes an upload that is complete, and whose content is not what its extension says. */
  private async removingForbidden<T>(id: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (error instanceof Problem && error.problem === 'type-not-allowed') await this.uploads.remove(id);
      throw error;
    }
  }

  private async append(id: string, offset: number): Promise<number> {
    const { request, checksum } = this.context;
    const begun = this.uploads.find(id);
    this.assertPermitted(begun);
    const receive: Piece['receive'] = async (sink) => {
      const read = () => readBody(request.raw, checksum?.before(sink) ?? sink, begun.size - offset, BEYOND_END);
      await this.locks.interruptible(id, () => request.raw.destroy(), read);
      checksum?.check();
    };
    const piece = { isWhole: checksum !== undefined, receive };
    const upload = await this.removingForbidden(id, () => this.uploads.append(id, piece));
    return this.describe(upload).offset;
  }

  private async remove(id: string): Promise<void> {
    if (this.uploads.find(id).file !== null) {
      throw new Problem('bad-request', 'This upload is finished; delete the file by its ID.');
    }
    await this.uploads.remove(id);
  }

  /**
   * Stores a complete upload and waits for its copies; resolves with its ID. Rejects with NotKept if the copies were not made
   * in time, with a Problem (`type-not-allowed`) if the limits of the request exclude its content.
   */
  private async keep(received: ReceivedFile): Promise<string> {
    assertUploadsAreTaken(this.node);
    await assertTypes(accessOf(this.context.request), [received]);
    const files = await this.node.store.add([received]);
    await waitForCopies(files, this.node).catch((error: unknown) => {
      throw new NotKept('other nodes did not take it', { cause: error });
    });
    const [file] = files as [StoredFile];
    this.onStored(this.context.request, file);
    return file.id;
  }

  /** Converts an upload to the library's form. Its expiry counts from the last request that changed it. */
  private describe({ id, size, offset, metadata, touched, file }: ResumableUpload): Upload {
    this.context.file = file;
    const said = metadata === '' ? {} : { metadata: Metadata.parse(metadata) };
    return new Upload({ id, size, offset, ...said, creation_date: new Date(touched).toISOString() });
  }
}

/** A request's headers for the library, without the blanks around commas in `Upload-Metadata`, which it does not accept. */
function headersFor({ headers }: FastifyRequest): Record<string, string> {
  const given = headers as Record<string, string>;
  const metadata = given['upload-metadata'];
  return metadata === undefined ? given : { ...given, 'upload-metadata': metadata.trim().replace(/\s*,\s*/g, ',') };
}

/** The method of a request, with `X-HTTP-Method-Override` applied. */
export function methodOf({ method, headers }: FastifyRequest): string {
  const override = String(headers['x-http-method-override']).toUpperCase();
  return method === 'POST' && OVERRIDES.includes(override) ? override : method;
}
