import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import { Agent, type Dispatcher, request } from 'undici';
import { z } from 'zod';
import fileId from '../../file-id/file-id.js';
import { readKey } from '../config/key.js';
import { formatAddress, type Settings } from '../config/settings.js';
import { extensionOf } from '../http/extension.js';
import type { Status } from '../status.js';
import { CommandFailed } from './errors.js';
import { reachable } from './processes.js';

/** Large files may take their time; only silence is an error. */
const agent = new Agent({ headersTimeout: 300_000, bodyTimeout: 300_000, connectTimeout: 10_000 });

/** From here on a file is offered before it is sent: the node may have it. In bytes. */
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

const problemSchema = z.object({ type: z.string(), title: z.string(), detail: z.string() });

/** What to do without the right key. */
const GIVE_KEY =
  'set FIDFS_KEY, or name the data directory of the node (FIDFS_DATA) or its settings file (--config); "fidfs key" with these prints its key';

/** One file of an upload's answer. */
export interface UploadedFile {
  id: string;
  url: string;
  size: number;
  crc32: string;
  sha256: string;
  created: string;
  copies: number;
}

/** A deletion that fewer nodes know of than are wanted. */
export interface Deletion {
  copies: number;
  wanted: number;
}

/** Talks to a node as any client does. Methods reject with CommandFailed. */
export class Client {
  private readonly origin: string;
  private readonly daemon: string;

  constructor(
    private readonly settings: Settings,
    server: string | undefined,
  ) {
    this.origin = server?.replace(/\/+$/, '') ?? `http://${formatAddress(reachable(settings.listen))}`;
    this.daemon = `http://${formatAddress(reachable(settings.daemonListen))}`;
  }

  /** Sends one file; `progress` gets the bytes of each piece and of the whole. */
  async upload(file: string, progress: (bytes: number, total: number) => void): Promise<UploadedFile> {
    const handle = await openFile(file);
    try {
      const { size } = await handle.stat();
      const known =
        size > PROVEN_FILE ? await this.prove(handle, size, extensionOf(basename(file), undefined)) : undefined;
      if (known) return known;
      const content = Readable.from(contentOf(handle, (bytes) => progress(bytes, size)));
      return await this.post(content, basename(file), { 'content-length': String(size) });
    } finally {
      await handle.close();
    }
  }

  /** Sends what comes, however much it is, as a file of that name. */
  uploadStream(content: Readable, name: string | undefined): Promise<UploadedFile> {
    return this.post(content, name, {});
  }

  private async post(body: Readable, name: string | undefined, headers: Record<string, string>): Promise<UploadedFile> {
    const query = name === undefined ? '' : `?filename=${encodeURIComponent(name)}`;
    const url = `${this.origin}/upload${query}`;
    const answer = await this.send(url, { method: 'POST', body, headers: this.headers(headers) });
    const { files } = (await answer.body.json()) as { files: UploadedFile[] };
    return files[0] as UploadedFile;
  }

  /** Gets an ID for a file whose content the node has already. Undefined when it wants to be sent the file. */
  private async prove(handle: FileHandle, size: number, ext: string): Promise<UploadedFile | undefined> {
    const url = `${this.origin}/upload/known`;
    const ask = async (body: object): Promise<unknown> => {
      const headers = this.headers({ 'content-type': 'application/json' });
      const options = { method: 'POST', body: JSON.stringify(body), headers, dispatcher: agent } as const;
      const answer = await request(url, options).catch(() => undefined); // the upload itself says what is wrong
      if (answer && answer.statusCode < 300) return answer.body.json();
      await answer?.body.dump();
      return undefined;
    };
    const sha256 = createHash('sha256');
    for await (const chunk of handle.createReadStream({ autoClose: false, start: 0 })) sha256.update(chunk as Buffer);
    const challenge = challengeSchema.safeParse(await ask({ sha256: sha256.digest('hex'), size, ext }));
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

  /** Fetches a file and checks it against its ID. It gets its name only when it is right. `-` is standard output. */
  async get(id: string, target: string): Promise<void> {
    const { size, crc32: expected } = fileId.decode(id);
    const answer = await this.send(`${this.origin}/${id}`, { method: 'GET' });
    let crc = 0;
    let length = 0;
    const check = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        crc = crc32(chunk, crc);
        length += chunk.length;
        done(null, chunk);
      },
    });
    const partial = `${target}.part`;
    const sink = target === '-' ? process.stdout : createWriteStream(partial);
    try {
      await pipeline([answer.body, check, sink], { end: target !== '-' });
      if (size !== null && (size !== length || expected !== crc)) {
        throw new Error('the bytes that came do not match the ID; run "fidfs verify" on the node');
      }
      if (target !== '-') await rename(partial, target);
    } catch (error) {
      if (target !== '-') await rm(partial, { force: true });
      throw new CommandFailed((error as Error).message, { cause: error });
    }
  }

  /** Undefined when the deletion is durable on as many nodes as a copy would be, else on how many it is. */
  async delete(id: string): Promise<Deletion | undefined> {
    const answer = await this.send(`${this.origin}/${id}`, { method: 'DELETE', headers: this.headers({}) });
    if (answer.statusCode === 202) return (await answer.body.json()) as Deletion;
    await answer.body.dump();
    return undefined;
  }

  async status(): Promise<Status> {
    const answer = await this.send(`${this.daemon}/status`, { method: 'GET', headers: this.headers({}) });
    return (await answer.body.json()) as Status;
  }

  /** Tells the node to read and check all its files now. */
  async scrub(): Promise<void> {
    const answer = await this.send(`${this.daemon}/scrub`, { method: 'POST', headers: this.headers({}) });
    await answer.body.dump();
  }

  private headers(others: Record<string, string>): Record<string, string> {
    const key = readKey(this.settings);
    return key === undefined ? others : { ...others, authorization: `Bearer ${key}` };
  }

  private async send(
    url: string,
    options: Omit<Dispatcher.RequestOptions, 'origin' | 'path'>,
  ): Promise<Dispatcher.ResponseData> {
    // Without the path: it is the ID, and who reads this has named that.
    const { origin } = new URL(url);
    const answer = await request(url, { ...options, dispatcher: agent }).catch((error: unknown) => {
      throw new CommandFailed(`${origin}: ${(error as Error).message}; does the node run there?`, { cause: error });
    });
    if (answer.statusCode < 300) return answer;
    throw new CommandFailed(`${origin}: ${answer.statusCode} ${this.words(await answer.body.text())}`);
  }

  /** What an answer says, in the terms of the command: those of HTTP are of no use to who calls it. */
  private words(text: string): string {
    const problem = parseProblem(text);
    if (!problem) return text.slice(0, 200); // an answer that is not from fidfs
    const { type, title, detail } = problem;
    if (type.endsWith(':no-key') || type.endsWith(':wrong-key')) return `${title}: ${this.keyTrouble()}; ${GIVE_KEY}`;
    return detail.startsWith(title) ? detail : `${title}: ${detail}`;
  }

  private keyTrouble(): string {
    const { key, data } = this.settings;
    const file = join(data, 'key');
    if (process.env.FIDFS_KEY) return 'FIDFS_KEY is not the key of this node';
    if (key !== undefined) return 'the key in the settings file is not that of this node';
    return readKey(this.settings) === undefined
      ? `FIDFS_KEY is not set, and there is no ${file}`
      : `the key in ${file} is not that of this node`;
  }
}

async function openFile(file: string): Promise<FileHandle> {
  const handle = await open(file).catch((error: unknown) => {
    throw new CommandFailed(`cannot be read: ${(error as Error).message}`, { cause: error });
  });
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw new CommandFailed('is neither a file nor a directory');
}

/** Nothing is read before the connection asks for it. */
async function* contentOf(handle: FileHandle, progress: (bytes: number) => void): AsyncGenerator<Buffer> {
  for await (const chunk of handle.createReadStream({ autoClose: false, start: 0 })) {
    progress(chunk.length);
    yield chunk;
  }
}

/** The problem document that an answer is; undefined when it is none. */
function parseProblem(text: string): z.output<typeof problemSchema> | undefined {
  try {
    return problemSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
