import { setTimeout as sleep } from 'node:timers/promises';
import { WireClient } from './fastdfs-client.js';
import { type Random, randomFrom } from './random.js';

const PAUSE_MILLISECONDS = 20;

/** Concurrent clients that upload by FastDFS's protocol until `stop`, and note what status 0 has promised. */
export class WireLoad {
  /** Contents by the IDs that were answered with status 0. */
  readonly stored = new Map<string, Buffer>();
  /** Number of answers by status; -1 stands for a broken or refused connection. */
  readonly statuses = new Map<number, number>();
  private readonly pool: Buffer;
  private running: Promise<unknown> | undefined;
  private isStopping = false;

  constructor(
    private readonly port: number,
    private readonly random: Random,
    private readonly clients = 8,
  ) {
    this.pool = randomFrom(random.below(2 ** 31)).bytes(2 ** 20);
  }

  start(): void {
    this.isStopping = false;
    this.running = Promise.all(Array.from({ length: this.clients }, () => this.run()));
  }

  /** Resolves when the last request has been answered. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await this.running;
  }

  count(status: number): number {
    return this.statuses.get(status) ?? 0;
  }

  private async run(): Promise<void> {
    while (!this.isStopping) {
      const client = await WireClient.connect(this.port).catch(() => undefined);
      const status = client ? await this.uploads(client).catch(() => -1) : -1;
      client?.close();
      if (status === 0) continue;
      if (status === -1) this.note(status);
      await sleep(PAUSE_MILLISECONDS);
    }
  }

  /** Uploads until a status that is not 0, which it returns. */
  private async uploads(client: WireClient): Promise<number> {
    while (!this.isStopping) {
      const size = this.random.below(this.random.below(10) === 0 ? 500_000 : 5000);
      const start = this.random.below(this.pool.length - size);
      const content = this.pool.subarray(start, start + size);
      const { status, id } = await client.tryUpload(content);
      this.note(status);
      if (status !== 0) return status;
      this.stored.set(id, content);
    }
    return 0;
  }

  private note(status: number): void {
    this.statuses.set(status, this.count(status) + 1);
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
