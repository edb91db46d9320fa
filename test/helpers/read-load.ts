import { type Load, promisedBy } from './load.js';
import type { TestNode } from './node.js';
import type { Random } from './random.js';

/** Clients that download stored files, and try the next node if one fails. */
export class ReadLoad {
  count = 0;
  readonly failed: string[] = [];
  private stopping = false;
  private running: Promise<unknown> | undefined;

  constructor(
    private readonly nodes: readonly TestNode[],
    private readonly loads: readonly Load[],
    private readonly random: Random,
  ) {}

  start(): void {
    this.running = Promise.all(Array.from({ length: 4 }, () => this.read()));
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  private async read(): Promise<void> {
    while (!this.stopping) {
      const stored = [...promisedBy(this.loads).stored];
      const [id, { size }] = stored[this.random.below(stored.length)] as (typeof stored)[number];
      const first = this.random.below(this.nodes.length);
      const tries: unknown[] = [];
      for (let step = 0; step < this.nodes.length; step++) {
        const node = this.nodes[(first + step) % this.nodes.length] as TestNode;
        const answer = await node.get(id).catch((error: Error) => ({ status: error.message, body: Buffer.alloc(0) }));
        if (answer.status === 200 && answer.body.length === size) break;
        tries.push(answer.status);
      }
      // The file may have been deleted in the meantime.
      const isWanted = promisedBy(this.loads).stored.has(id);
      if (tries.length === this.nodes.length && isWanted) this.failed.push(`${id}: ${tries}`);
      this.count++;
    }
  }
}
