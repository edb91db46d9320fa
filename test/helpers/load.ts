import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestNode, Uploaded } from './node.js';
import { type Random, randomFrom } from './random.js';

/** Size and digest of an uploaded content, for comparison with downloads. */
interface Sent {
  size: number;
  sha256: string;
}

/** What the answers so far have promised to the clients. */
export interface Promised {
  /** Files answered with 201 for which no deletion was requested. */
  stored: Map<string, Sent>;
  /** IDs of deletions answered with 204. */
  deleted: Set<string>;
  /** The metadata of files, as JSON, whose last change was answered with 204. */
  metadata?: Map<string, string>;
  /** Digests that appenders may have; more than one if a change was not answered. Undefined: it may have become a normal file. */
  appenders?: Map<string, (string | undefined)[]>;
}

/** What uploads and deletes, and records what the answers promised. */
export interface AnyLoad {
  start(): void;
  /** Resolves when the last request has been answered. */
  stop(): Promise<void>;
  promised(): Promised;
  /** Deletes most of the files and removes them from the records, so that a long run needs no large disk; not while it runs. */
  forgetMost(): Promise<void>;
}

export interface LoadOptions {
  clients?: number;
  /** Percentage of requests that delete. */
  deletions?: number;
  /** Maximum size of a file in bytes. */
  largest?: number;
  /** Percentage of uploads with a content that was uploaded before. */
  duplicates?: number;
  /** Percentage of requests that store a slave of a recent upload, and likewise of those that change its metadata. */
  slaves?: number;
}

/** Number of recent contents from which duplicates are chosen. */
const RECENT = 30;
const POOL_SIZE = 4 * 2 ** 20;
/** Pause of a client after an error. */
const PAUSE_MILLISECONDS = 20;

/** Concurrent clients that upload (raw and multipart) and delete until `stop`, and record what the answers promised. */
export class Load implements AnyLoad {
  private readonly stored = new Map<string, Sent>();
  private readonly ids: string[] = [];
  private readonly deleted = new Set<string>();
  /** Deletions requested but not answered with 204. */
  private readonly doubtful = new Set<string>();
  /** Slaves by their master. */
  private readonly slaves = new Map<string, string[]>();
  private readonly metadata = new Map<string, string>();
  /** Files that a request for a slave or for metadata is about: they are not deleted meanwhile. */
  private readonly used = new Set<string>();
  private counter = 0;
  private readonly pool: Buffer;
  private readonly recent: Buffer[] = [];
  private running: Promise<unknown> | undefined;
  private stopping = false;
  /** Number of answers by status; 0 stands for a broken connection. */
  readonly statuses = new Map<number, number>();
  /** Deletions answered with 202: durable only if no node is lost. */
  readonly spreading = new Set<string>();
  /** Errors of broken connections, for failure messages. */
  readonly breaks: string[] = [];

  constructor(
    private readonly node: TestNode,
    private readonly random: Random,
    private readonly options: LoadOptions = {},
  ) {
    this.pool = randomFrom(random.below(2 ** 31)).bytes(POOL_SIZE);
  }

  start(): void {
    const { clients = 16 } = this.options;
    this.stopping = false;
    this.running = Promise.all(Array.from({ length: clients }, () => this.client()));
  }

  /** Resolves when the last request has been answered. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  count(status: number): number {
    return this.statuses.get(status) ?? 0;
  }

  /** Number of requests refused with 503 or 507. */
  get refused(): number {
    return this.count(503) + this.count(507);
  }

  /** What has been promised so far. */
  promised(): Promised {
    const stored = new Map([...this.stored].filter(([id]) => !this.doubtful.has(id) && !this.deleted.has(id)));
    const metadata = new Map([...this.metadata].filter(([id]) => stored.has(id)));
    return { stored, deleted: new Set(this.deleted), metadata };
  }

  /** Deletes all but the last 100 files. */
  async forgetMost(): Promise<void> {
    const ids = [...this.stored.keys()].slice(0, -100);
    const questions = ids.values();
    const ask = async () => {
      for (const id of questions) await this.delete(id);
    };
    await Promise.all(Array.from({ length: 16 }, ask));
  }

  private async client(): Promise<void> {
    while (!this.stopping) {
      const status = await this.act().catch((error: Error) => {
        this.breaks.push(`${new Date().toISOString()} ${error.stack} ${error.cause ?? ''}`);
        return 0;
      });
      this.statuses.set(status, this.count(status) + 1);
      if (status === 0 || status >= 500) await sleep(PAUSE_MILLISECONDS);
    }
  }

  private act(): Promise<number> {
    const { deletions = 20 } = this.options;
    if (this.random.below(100) < deletions) {
      const id = this.anyStored();
      if (id !== undefined && !this.used.has(id)) return this.delete(id);
    }
    const { slaves = 0 } = this.options;
    const other = this.random.below(100);
    if (other < 2 * slaves) {
      const id = this.anyStored();
      if (id !== undefined && !this.used.has(id)) return this.use(id, other < slaves);
    }
    return this.random.below(5) === 0 ? this.uploadParts() : this.upload([this.content()]);
  }

  private async use(id: string, isSlave: boolean): Promise<number> {
    this.used.add(id);
    try {
      return await (isSlave ? this.uploadSlave(id) : this.putMetadata(id));
    } finally {
      this.used.delete(id);
    }
  }

  private async uploadSlave(master: string): Promise<number> {
    const content = this.content();
    const query = `?master=${encodeURIComponent(master)}&prefix=_${this.counter++}&ext=bin`;
    const answer = await this.node.post(content, query);
    if (answer.status !== 201) return answer.status;
    const { files } = JSON.parse(answer.body.toString()) as { files: [Uploaded] };
    const [{ id }] = files;
    this.stored.set(id, { size: content.length, sha256: digest(content) });
    this.slaves.set(master, [...(this.slaves.get(master) ?? []), id]);
    return 201;
  }

  private async putMetadata(id: string): Promise<number> {
    const body = JSON.stringify({ change: String(this.counter++) });
    this.metadata.delete(id);
    const headers = this.node.authorized();
    const { status } = await this.node.request(`/metadata/${id}`, { method: 'PUT', body, headers });
    if (status === 204) this.metadata.set(id, body);
    return status;
  }

  private async delete(id: string): Promise<number> {
    const ids = [id, ...(this.slaves.get(id) ?? [])];
    for (const one of ids) {
      this.stored.delete(one);
      this.doubtful.add(one);
    }
    const { status } = await this.node.delete(id);
    if (status === 204) {
      for (const one of ids) {
        this.doubtful.delete(one);
        this.deleted.add(one);
      }
    }
    if (status === 202) this.spreading.add(id);
    return status;
  }

  private uploadParts(): Promise<number> {
    const contents = Array.from({ length: 1 + this.random.below(5) }, () => this.content());
    const boundary = 'the-boundary-of-this-load';
    const parts = contents.flatMap((content, number) => [
      Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="f"; filename="${number}.bin"\r\n\r\n`),
      content,
      Buffer.from('\r\n'),
    ]);
    const body = Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)]);
    return this.upload(contents, body, { 'content-type': `multipart/form-data; boundary=${boundary}` });
  }

  private async upload(contents: Buffer[], body = contents[0], headers = {}): Promise<number> {
    const answer = await this.node.post(body, '', headers);
    if (answer.status !== 201) return answer.status;
    const { files } = JSON.parse(answer.body.toString()) as { files: Uploaded[] };
    for (const [number, content] of contents.entries()) {
      const { id } = files[number] as Uploaded;
      this.stored.set(id, { size: content.length, sha256: digest(content) });
      this.ids.push(id);
    }
    return 201;
  }

  private content(): Buffer {
    const { duplicates = 50 } = this.options;
    if (this.recent.length > 0 && this.random.below(100) < duplicates)
      return this.recent[this.random.below(this.recent.length)] as Buffer;
    const content = this.newContent();
    this.recent.push(content);
    if (this.recent.length > RECENT) this.recent.shift();
    return content;
  }

  /** Mostly small, some empty, some large enough to be streamed to a temporary file. */
  private newContent(): Buffer {
    const { largest = 2 * 2 ** 20 } = this.options;
    const kind = this.random.below(100);
    const limit = kind < 5 ? 1 : kind < 80 ? 4096 : kind < 97 ? 100_000 : largest;
    const size = this.random.below(Math.min(limit, largest));
    const start = this.random.below(POOL_SIZE - size);
    return this.pool.subarray(start, start + size);
  }

  /** One of the last 200 uploads: recent ones are the most at risk. */
  private anyStored(): string | undefined {
    const id = this.ids.at(-1 - this.random.below(Math.min(200, this.ids.length)));
    return id !== undefined && this.stored.has(id) ? id : undefined;
  }
}

/** The union of what several loads have been promised. */
export function promisedBy(loads: readonly AnyLoad[]): Promised {
  const all = loads.map((load) => load.promised());
  return {
    stored: new Map(all.flatMap(({ stored }) => [...stored])),
    metadata: new Map(all.flatMap(({ metadata = [] }) => [...metadata])),
    deleted: new Set(all.flatMap(({ deleted }) => [...deleted])),
    appenders: new Map(all.flatMap(({ appenders = [] }) => [...appenders])),
  };
}

export function digest(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

/**
 * Downloads everything that was promised from a node. Returns the violations, one line each.
 * @param gone allowed statuses for a deleted file: with another node down also 503, because that node might have it
 */
export async function broken(
  node: TestNode,
  { stored, deleted, metadata = new Map(), appenders = new Map() }: Promised,
  gone: readonly number[] = [404],
): Promise<string[]> {
  const found: string[] = [];
  const questions = [...stored.keys(), ...deleted].values();
  const ask = async () => {
    for (const id of questions) {
      const { status, body } = await node.get(id);
      const sent = stored.get(id);
      // nginx may serve a file from its open_file_cache for up to a second.
      const isGone = async () => gone.includes(status) || gone.includes((await node.get(id)).status);
      if (!sent) await node.until(isGone, 'gone', 3).catch(() => found.push(`${id}: deleted, and yet ${status}`));
      if (sent && status !== 200) found.push(`${id}: ${status} instead of ${sent.size} bytes`);
      if (sent && status === 200 && digest(body) !== sent.sha256) found.push(`${id}: other bytes`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, ask));
  for (const [id, wanted] of metadata) {
    const { body } = await node.get(`/metadata/${id}`, node.authorized());
    if (body.toString().trim() !== wanted) found.push(`${id}: metadata ${body}, not ${wanted}`);
  }
  for (const [id, digests] of appenders) {
    const { status, body } = await node.get(id);
    const has = status === 404 ? undefined : status === 200 ? digest(body) : String(status);
    if (!digests.includes(has)) found.push(`${id}: an appender with ${status} and ${body.length} other bytes`);
  }
  return found;
}
