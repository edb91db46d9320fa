import { setTimeout as sleep } from 'node:timers/promises';
import { idOf, WireClient } from './fastdfs-client.js';
import { type AnyLoad, digest, type Promised } from './load.js';
import { type Random, randomFrom } from './random.js';

const PAUSE_MILLISECONDS = 20;
const POOL_SIZE = 2 ** 20;

/** Concurrent clients that send requests of FastDFS's protocol until `stop`. */
export abstract class WireClients implements AnyLoad {
  /** Number of answers by status; -1 stands for a broken or refused connection. */
  readonly statuses = new Map<number, number>();
  private readonly pool: Buffer;
  private running: Promise<unknown> | undefined;
  private isStopping = false;

  constructor(
    protected readonly port: number,
    protected readonly random: Random,
    private readonly clients: number,
  ) {
    this.pool = randomFrom(random.below(2 ** 31)).bytes(POOL_SIZE);
  }

  abstract promised(): Promised;

  abstract forgetMost(): Promise<void>;

  /** Sends one request and notes what its answer promises; resolves with its status. */
  protected abstract act(client: WireClient, number: number): Promise<number>;

  start(): void {
    this.isStopping = false;
    this.running = Promise.all(Array.from({ length: this.clients }, (_, number) => this.run(number)));
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await this.running;
  }

  count(status: number): number {
    return this.statuses.get(status) ?? 0;
  }

  protected content(): Buffer {
    const size = this.random.below(this.random.below(10) === 0 ? 500_000 : 5000);
    const start = this.random.below(POOL_SIZE - size);
    return this.pool.subarray(start, start + size);
  }

  private async run(number: number): Promise<void> {
    while (!this.isStopping) {
      const client = await WireClient.connect(this.port).catch(() => undefined);
      let status = client ? 0 : -1;
      while (client && status === 0 && !this.isStopping) {
        status = await this.act(client, number).catch(() => -1);
        this.statuses.set(status, this.count(status) + 1);
      }
      client?.close();
      if (!client) this.statuses.set(-1, this.count(-1) + 1);
      if (status !== 0) await sleep(PAUSE_MILLISECONDS);
    }
  }
}

export interface WireLoadOptions {
  clients?: number;
  /** Percentage of requests that delete. */
  deletions?: number;
  /** Percentage of requests that store a slave of a recent upload, and likewise of those that set its metadata. */
  slaves?: number;
}

/** Clients that upload, delete, store slaves and set metadata by FastDFS's protocol. */
export class WireLoad extends WireClients {
  /** Contents by the IDs that were answered with status 0, and whose deletion was not requested. */
  readonly stored = new Map<string, Buffer>();
  private readonly deleted = new Set<string>();
  private readonly metadata = new Map<string, string>();
  private readonly ids: string[] = [];
  /** Files that a request for a slave or for metadata is about: they are not deleted meanwhile. */
  private readonly used = new Set<string>();
  private counter = 0;

  constructor(
    port: number,
    random: Random,
    private readonly options: WireLoadOptions = {},
  ) {
    super(port, random, options.clients ?? 8);
  }

  promised(): Promised {
    const sent = [...this.stored].map(([id, bytes]) => [id, { size: bytes.length, sha256: digest(bytes) }] as const);
    const metadata = new Map([...this.metadata].filter(([id]) => this.stored.has(id)));
    return { stored: new Map(sent), deleted: new Set(this.deleted), metadata };
  }

  /** Deletes all but the last 100 files. */
  async forgetMost(): Promise<void> {
    const client = await WireClient.connect(this.port);
    for (const id of [...this.stored.keys()].slice(0, -100)) await this.delete(client, id);
    client.close();
  }

  protected async act(client: WireClient): Promise<number> {
    const { deletions = 0, slaves = 0 } = this.options;
    const kind = this.random.below(100);
    const id = kind < deletions + 2 * slaves ? this.anyStored() : undefined;
    if (id === undefined) return this.upload(client);
    this.used.add(id);
    try {
      if (kind < deletions) return await this.delete(client, id);
      return await (kind < deletions + slaves ? this.uploadSlave(client, id) : this.setMetadata(client, id));
    } finally {
      this.used.delete(id);
    }
  }

  private async upload(client: WireClient): Promise<number> {
    const content = this.content();
    const { status, id } = await client.tryUpload(content);
    if (status !== 0) return status;
    this.stored.set(id, content);
    this.ids.push(id);
    return 0;
  }

  private async delete(client: WireClient, id: string): Promise<number> {
    this.stored.delete(id);
    const { status } = await client.delete(id);
    // Its slaves remain: FastDFS's clients delete them themselves.
    if (status === 0) this.deleted.add(id);
    return status;
  }

  private async uploadSlave(client: WireClient, master: string): Promise<number> {
    const content = this.content();
    const { status, body } = await client.uploadSlave(master, `_${this.counter++}`, 'bin', content);
    if (status === 0) this.stored.set(idOf(body), content);
    return status;
  }

  private async setMetadata(client: WireClient, id: string): Promise<number> {
    const values = { change: String(this.counter++) };
    this.metadata.delete(id);
    const { status } = await client.setMetadata(id, values);
    if (status === 0) this.metadata.set(id, JSON.stringify(values));
    return status;
  }

  /** One of the last 200 uploads that no other client uses. */
  private anyStored(): string | undefined {
    const id = this.ids.at(-1 - this.random.below(Math.min(200, this.ids.length)));
    return id !== undefined && this.stored.has(id) && !this.used.has(id) ? id : undefined;
  }
}

/** Downloads all of these files from a storage server; resolves with the IDs of those that are not as they were uploaded. */
export async function brokenAt(port: number, stored: ReadonlyMap<string, Buffer>): Promise<string[]> {
  const found: string[] = [];
  const client = await WireClient.connect(port);
  for (const [id, content] of stored) {
    // FastDFS refuses to download an empty file.
    const wanted = content.length === 0 ? 22 : 0;
    const { status, body } = await client.download(id);
    if (status !== wanted || !body.equals(content))
      found.push(`${id}: status ${status}, ${body.length} of ${content.length} bytes`);
  }
  client.close();
  return found;
}
