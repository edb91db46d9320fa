import { Worker } from 'node:worker_threads';

/** Number of changed rows after which the WAL is checkpointed; each row changes one or two pages of 4 KiB. */
const ROWS = 4000;

/**
 * Checkpoints the WAL (copies it into the index file) in a thread of its own. With a million files each checkpoint takes
 * tenths of a second, because each random content key changes another page; on the event loop it would delay every upload.
 */
export class Checkpointer {
  private worker: Worker | undefined;
  private running = false;
  private rows = 0;

  /** @param warn logs a failed checkpoint; the WAL keeps its content, and the next checkpoint copies it */
  constructor(
    private readonly file: string,
    private readonly warn: (message: string, error: unknown) => void,
  ) {}

  /** Counts rows that a transaction has changed. Starts a checkpoint if there are enough. */
  changed(rows: number): void {
    this.rows += rows;
    if (this.rows >= ROWS) this.copy();
  }

  /** Starts a checkpoint unless one is running. After it, SQLite overwrites the WAL from its beginning. */
  copy(): void {
    if (this.running) return;
    this.rows = 0;
    this.running = true;
    this.worker ??= this.startWorker();
    this.worker.postMessage('copy');
  }

  /** Terminates the thread. A checkpoint may be interrupted at any point. */
  async close(): Promise<void> {
    await this.worker?.terminate();
  }

  private startWorker(): Worker {
    const worker = new Worker(new URL('./checkpoint-worker.js', import.meta.url), { workerData: this.file });
    worker.unref();
    worker.on('message', () => {
      this.running = false;
    });
    worker.on('error', (error) => {
      this.running = false;
      this.worker = undefined;
      this.warn(`the WAL of the index ${this.file} could not be copied into it; it is tried again later`, error);
    });
    return worker;
  }
}
