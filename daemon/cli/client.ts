import { createHash, randomBytes } from 'node:crypto';
import { createWriteStream, statSync } from 'node:fs';
import { type FileHandle, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import fileId from '../../file-id/file-id.js';
import type { Settings } from '../config/settings.js';
import { extensionOf } from '../http/extension.js';
import type { ListedFile } from '../operations/lists.js';
import type { DeletionResult, StatResult } from '../operations/many.js';
import type { AdoptionOrder } from '../replication/adoption.js';
import type { Status } from '../status.js';
import { Connection, exchange } from './connection.js';
import { CommandFailed, RequestFailed } from './errors.js';
import { contentOf, openPipe, openRegular, unreadable } from './input.js';
import { standardOutput } from './output.js';
import { tokenQuery } from './token.js';

/** Bytes above which possession of a file is proven first, so that a file that the node already stores is not sent. */
const PROVEN_FILE = 1e6;

const challengeSchema = z.object({
  nonce: z.string(),
  ranges: z.array(
    z.tuple([
      z.number().int().nonnegative(),
      z
        .number()
        .int()
        .min(0)
        .max(2 ** 20),
    ]),
  ),
});

/** One file of an upload's answer. `size` is in bytes, `crc32` and `sha256` in hex, `created` in ISO 8601. */
export interface UploadedFile {
  id: string;
  url: string;
  size: number;
  crc32: string;
  sha256: string;
  created: string;
  copies: number;
}

/** A deletion that is durable on `copies` nodes, fewer than `wanted`. */
export interface Deletion {
  copies: number;
  wanted: number;
}

/** One page of a list. */
export interface FilesPage {
  files: ListedFile[];
  /** For the parameter `after` of the request for the next page; undefined if there is none. */
  next?: string;
}

/** What an upload may have beside its content. */
export interface UploadOptions {
  /** Parameters of `POST /upload`, such as `group`, or `master` and `prefix`. Without `ext` and `filename` the name gives the extension. */
  query?: Record<string, string>;
  /** Hex: another content is refused, and nothing is stored. */
  sha256?: string;
}

/** What a node says of one of many files. */
export type ManyResult = DeletionResult | StatResult;

/** HTTP client of a node. All methods reject with CommandFailed. */
export class Client {
  private readonly connection: Connection;

  constructor(
    private readonly settings: Settings,
    server: string | undefined,
  ) {
    this.connection = new Connection(settings, server);
  }

  /** Uploads one file. Calls `progress` with the bytes of each chunk and of the whole file. */
  async upload(
    file: string,
    progress: (bytes: number, total: number) => void,
    options: UploadOptions = {},
  ): Promise<UploadedFile> {
    const pipe = await openPipe(file);
    if (pipe) return this.uploadStream(pipe, basename(file));
    const handle = await openRegular(file);
    try {
      const announced = await handle.stat();
      const { size } = announced;
      const isPlain = options.query === undefined; // a proof makes a file of any group, and no slave
      const known =
        isPlain && size > PROVEN_FILE
          ? await this.prove(handle, size, extensionOf(basename(file), undefined), options.sha256)
          : undefined;
      if (known) return known;
      const content = contentOf(handle, announced, (bytes) => progress(bytes, size));
      return await this.post(content, basename(file), { 'content-length': String(size) }, options);
    } finally {
      await handle.close();
    }
  }

  /** Uploads a stream of any length; `name` gives the extension. */
  async uploadStream(content: Readable, name: string | undefined, options: UploadOptions = {}): Promise<UploadedFile> {
    try {
      return await this.post(content, name, {}, options);
    } finally {
      content.destroy(); // an open stream would keep the process running after a failure
    }
  }

  private async post(
    content: AsyncIterable<Buffer>,
    name: string | undefined,
    headers: Record<string, string>,
    { query = {}, sha256 }: UploadOptions,
  ): Promise<UploadedFile> {
    let failure: CommandFailed | undefined;
    const read = async function* () {
      try {
        yield* content;
      } catch (error) {
        failure = unreadable(error);
        throw failure;
      }
    };
    const body = Readable.from(read());
    const named = name === undefined || 'ext' in query ? query : { filename: name, ...query };
    const url = `${this.connection.origin}/upload?${new URLSearchParams(named)}`;
    const digest = sha256 === undefined ? {} : { 'repr-digest': digestOf(sha256) };
    try {
      const answer = await this.connection.send(url, {
        method: 'POST',
        body,
        headers: this.connection.headers({ ...headers, ...digest }),
      });
      const { files } = (await answer.body.json()) as { files: UploadedFile[] };
      return files[0] as UploadedFile;
    } catch (error) {
      // A read error aborts the request: report the cause, not the aborted connection.
      throw failure ?? error;
    }
  }

  /** Gets an ID for a file that the node already stores, by a proof of possession. Undefined if the file must be sent. */
  private async prove(
    handle: FileHandle,
    size: number,
    ext: string,
    expected: string | undefined,
  ): Promise<UploadedFile | undefined> {
    const url = `${this.connection.origin}/upload/known`;
    const ask = async (body: object): Promise<unknown> => {
      const headers = this.connection.headers({ 'content-type': 'application/json' });
      const options = { method: 'POST', body: JSON.stringify(body), headers } as const;
      const answer = await exchange(url, options).catch(() => undefined); // the upload that follows reports the error
      if (answer && answer.statusCode < 300) return answer.body.json();
      await answer?.body.dump();
      return undefined;
    };
    const hash = createHash('sha256');
    for await (const chunk of handle.createReadStream({ autoClose: false, start: 0 })) hash.update(chunk as Buffer);
    const sha256 = hash.digest('hex');
    if (expected !== undefined && sha256 !== expected) return undefined; // the node refuses the upload that follows
    const challenge = challengeSchema.safeParse(await ask({ sha256, size, ext }));
    if (!challenge.success) return undefined;
    const { nonce, ranges } = challenge.data;
    const proof = createHash('sha256').update(nonce);
    for (const [offset, length] of ranges) {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
      proof.update(buffer.subarray(0, bytesRead));
    }
    const taken = (await ask({ nonce, proof: proof.digest('hex') })) as { files: UploadedFile[] } | undefined;
    return taken?.files[0];
  }

  /**
   * Downloads a file and compares it with its ID. Writes to a temporary file beside the target and renames it only if size
   * and CRC32 are right. `-` is standard output.
   */
  async get(id: string, target: string): Promise<void> {
    const { size, crc32: expected } = fileId.decode(id);
    const answer = await this.connection.send(`${this.connection.origin}/${id}${tokenQuery(this.settings, id)}`, {
      method: 'GET',
    });
    let crc = 0;
    let length = 0;
    const check = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        crc = crc32(chunk, crc);
        length += chunk.length;
        done(null, chunk);
      },
    });
    const isPiped = target === '-';
    if (!isPiped && statSync(target, { throwIfNoEntry: false })?.isFile() === false)
      throw new CommandFailed(`${target} exists, and is not a regular file`);
    const partial = join(dirname(target), `fidfs-${randomBytes(8).toString('hex')}.part`);
    const sink = isPiped ? standardOutput() : createWriteStream(partial, { flags: 'wx' });
    try {
      await pipeline([answer.body, check, sink], { end: sink !== process.stdout });
      if (size !== null && (size !== length || expected !== crc)) {
        throw new Error('the received bytes do not match the ID; run "fidfs verify" on the node');
      }
      if (!isPiped) await rename(partial, target);
    } catch (error) {
      if (!isPiped) await rm(partial, { force: true });
      throw new CommandFailed((error as Error).message, { cause: error });
    }
  }

  /** The bytes of a file; a broken connection is a RequestFailed, too. */
  async content(id: string): Promise<AsyncIterable<Buffer>> {
    const url = `${this.connection.origin}/${id}${tokenQuery(this.settings, id)}`;
    const answer = await this.connection.send(url, { method: 'GET' });
    return unbroken(answer.body);
  }

  /** The metadata of a file; empty if it has none. */
  async metadata(id: string): Promise<Record<string, string>> {
    const url = `${this.connection.origin}/metadata/${id}`;
    const answer = await this.connection.send(url, { method: 'GET', headers: this.connection.headers({}) });
    return (await answer.body.json()) as Record<string, string>;
  }

  /** Replaces the metadata of a file. */
  async setMetadata(id: string, metadata: Record<string, string>): Promise<void> {
    const url = `${this.connection.origin}/metadata/${id}`;
    const body = JSON.stringify(metadata);
    const answer = await this.connection.send(url, { method: 'PUT', headers: this.connection.headers({}), body });
    await answer.body.dump();
  }

  /** Deletes a file. Undefined if the deletion is durable on as many nodes as required, otherwise the numbers of nodes. */
  async delete(id: string): Promise<Deletion | undefined> {
    const answer = await this.connection.send(`${this.connection.origin}/${id}`, {
      method: 'DELETE',
      headers: this.connection.headers({}),
    });
    if (answer.statusCode === 202) return (await answer.body.json()) as Deletion;
    await answer.body.dump();
    return undefined;
  }

  /** Asks for a page of the list of files; `query` is that of `GET /files`. */
  async list(query: Record<string, string>): Promise<FilesPage> {
    const url = `${this.connection.origin}/files?${new URLSearchParams(query)}`;
    const answer = await this.connection.send(url, { method: 'GET', headers: this.connection.headers({}) });
    return (await answer.body.json()) as FilesPage;
  }

  /** Deletes up to 1,000 files, or asks for what is known of them: a result for each, in their order. */
  async many(action: 'delete' | 'delete?slaves=keep' | 'stat', ids: readonly string[]): Promise<ManyResult[]> {
    const headers = this.connection.headers({ 'content-type': 'application/json' });
    const answer = await this.connection.send(`${this.connection.origin}/${action}`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ ids }),
    });
    return ((await answer.body.json()) as { results: ManyResult[] }).results;
  }

  async status(): Promise<Status> {
    const answer = await this.connection.send(`${this.connection.daemon}/status`, {
      method: 'GET',
      headers: this.connection.headers({}),
    });
    return (await answer.body.json()) as Status;
  }

  /** Lets the running node read its settings again. Resolves with the names of those that have changed. */
  async reload(): Promise<{ changed: string[] }> {
    const answer = await this.connection.send(`${this.connection.daemon}/reload`, {
      method: 'POST',
      headers: this.connection.headers({}),
    });
    return (await answer.body.json()) as { changed: string[] };
  }

  /** Starts a scrub of all files of the node. */
  async scrub(): Promise<void> {
    const answer = await this.connection.send(`${this.connection.daemon}/scrub`, {
      method: 'POST',
      headers: this.connection.headers({}),
    });
    await answer.body.dump();
  }

  /** Starts an adoption of the running node; the status has its progress. */
  async adopt(order: AdoptionOrder): Promise<void> {
    const body = JSON.stringify(order);
    const answer = await this.connection.send(`${this.connection.daemon}/adopt`, {
      method: 'POST',
      headers: this.connection.headers({}),
      body,
    });
    await answer.body.dump();
  }
}

/** A SHA-256 of hex digits as in RFC 9530. */
function digestOf(sha256: string): string {
  return `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`;
}

async function* unbroken(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* body;
  } catch (error) {
    throw new RequestFailed(`the answer was cut off: ${(error as Error).message}`, 0, { cause: error });
  }
}
