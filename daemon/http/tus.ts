import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { DataStore, Metadata, Server, Upload } from '@tus/server';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Node } from '../status.js';
import type { ReceivedFile } from '../store/incoming-file.js';
import type { StoredFile } from '../store/records.js';
import {
  NoSuchUpload,
  NotKept,
  RESUMABLE_LIFETIME_MILLISECONDS,
  ResumableUploads,
  UploadDamaged,
} from '../store/resumable.js';
import type { ResumableUpload } from '../store/resumable-records.js';
import { counted } from '../words.js';
import { readBody } from './body.js';
import { extensionOf } from './extension.js';
import { Problem, type ProblemName } from './problems.js';
import { fileUrl, publicBase, uploadLocation } from './public-address.js';
import { CHECKSUM_ALGORITHMS, ExpectedChecksum } from './tus-checksum.js';
import { Locks } from './tus-locks.js';
import { assertUploadsAreTaken, waitForCopies } from './upload.js';
import { assertNotEncoded } from './whole-body.js';

/** Where uploads in pieces are addressed. */
export const TUS_PATH = '/tus';
const VERSION = '1.0.0';
/** What a client that can send but POST may mean with it. */
const OVERRIDES = ['PATCH', 'HEAD', 'DELETE'];
/** What of the library's answers the client gets; nothing that invites pages of other origins. */
const ANSWERED_HEADERS = [
  ...['location', 'cache-control', 'upload-offset', 'upload-length', 'upload-metadata', 'upload-expires'],
  ...['tus-version', 'tus-extension', 'tus-max-size'],
];
/** The library's statuses, as problems of ours. */
const PROBLEMS: Record<number, ProblemName> = {
  404: 'not-found',
  409: 'offset-conflict',
  410: 'upload-expired',
  413: 'too-large',
};
const SWEEP_MILLISECONDS = 60_000;
const BEYOND_END = 'The piece reaches beyond the end of the upload.';

/** A request under way, where the library does not hand it on. */
interface Context {
  request: FastifyRequest;
  checksum: ExpectedChecksum | undefined;
  /** The ID of the file that the upload has become. */
  file: string | null;
  /** What went wrong, as it was thrown. */
  failure: unknown;
}

/** Is told what an upload has become. */
export type OnStored = (request: FastifyRequest, file: StoredFile) => void;

/**
 * Uploads in pieces, by the tus protocol (https://tus.io/protocols/resumable-upload, 1.0.0). The library has the protocol, the store the
 * pieces; bodies go to the store by the way of all uploads, past the library.
 */
export class Tus {
  private readonly current = new AsyncLocalStorage<Context>();
  private readonly locks = new Locks();
  private readonly uploads: ResumableUploads;
  private readonly server: Server;
  private readonly sweeping: NodeJS.Timeout;

  /** @param onStored is told of each upload that becomes a file */
  constructor(
    private readonly node: Node,
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
      // Any node's nginx sends it to the one that began it.
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
   * Answers a request. Rejects with what is to be answered instead.
   * @param base what public addresses begin with; by default as the request says
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
      reply.header('fidfs-url', fileUrl(base, context.file));
    }
    return reply.code(answer.status).send();
  }

  /** Ends the bodies that are coming: what has come of them stays, and they can go on at the next start. */
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
    if (failure instanceof NoSuchUpload) throw new Problem('not-found', 'There is no such upload, or not any more.');
    if (failure instanceof UploadDamaged) {
      throw new Problem('upload-damaged', 'What came of this upload is damaged on the disk of the node; begin anew.');
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
    store.getUpload = async (id) => this.describe(await this.uploads.look(id));
    store.write = (_body, id, offset) => this.append(id, offset);
    store.remove = (id) => this.remove(id);
    return store;
  }

  private async create(upload: Upload): Promise<Upload> {
    assertUploadsAreTaken(this.node);
    const { id, size = 0, metadata = {} } = upload;
    const extension = extensionOf(metadata.filename ?? metadata.name ?? '', metadata.filetype ?? metadata.type ?? '');
    await this.uploads.create({ id, size, extension, metadata: Metadata.stringify(metadata) });
    if (size === 0) this.describe(await this.uploads.look(id));
    return upload;
  }

  private async append(id: string, offset: number): Promise<number> {
    const { request, checksum } = this.context;
    const { size } = this.uploads.find(id);
    const upload = await this.uploads.append(id, {
      isWhole: checksum !== undefined,
      receive: async (sink) => {
        const read = () => readBody(request.raw, checksum?.before(sink) ?? sink, size - offset, BEYOND_END);
        await this.locks.interruptible(id, () => request.raw.destroy(), read);
        checksum?.check();
      },
    });
    return this.describe(upload).offset;
  }

  private async remove(id: string): Promise<void> {
    if (this.uploads.find(id).file !== null) {
      throw new Problem('bad-request', 'This upload is finished; delete the file by its ID.');
    }
    await this.uploads.remove(id);
  }

  /** Makes a whole file durable, with its copies; resolves with its ID. */
  private async keep(received: ReceivedFile): Promise<string> {
    assertUploadsAreTaken(this.node);
    const files = await this.node.store.add([received]);
    await waitForCopies(files, this.node.replication).catch((error: unknown) => {
      throw new NotKept('other nodes did not take it', { cause: error });
    });
    const [file] = files as [StoredFile];
    this.onStored(this.context.request, file);
    return file.id;
  }

  /** An upload as the library wants it; its expiry is counted from the last news of it. */
  private describe({ id, size, offset, metadata, touched, file }: ResumableUpload): Upload {
    this.context.file = file;
    const said = metadata === '' ? {} : { metadata: Metadata.parse(metadata) };
    return new Upload({ id, size, offset, ...said, creation_date: new Date(touched).toISOString() });
  }
}

/** A request's headers as the library reads them: it knows of no blanks between the pairs of metadata. */
function headersFor({ headers }: FastifyRequest): Record<string, string> {
  const given = headers as Record<string, string>;
  const metadata = given['upload-metadata'];
  return metadata === undefined ? given : { ...given, 'upload-metadata': metadata.trim().replace(/\s*,\s*/g, ',') };
}

/** What a request wants to be taken for. */
export function methodOf({ method, headers }: FastifyRequest): string {
  const override = String(headers['x-http-method-override']).toUpperCase();
  return method === 'POST' && OVERRIDES.includes(override) ? override : method;
}
