import { Worker } from 'node:worker_threads';

/** After so many changed rows the WAL is copied; each row touches a page or two of 4 KiB. */
const ROWS = 4000;

/**
 * Copies what the WAL holds into the index file, in a thread of its own: with a million files it takes tenths of a
 * second each time (random content keys touch a page each), and on the event loop every upload would wait for it.
 */
export class Checkpointer {
  private worker: Worker | undefined;
  private running = false;
  private rows = 0;

  /** @param warn is told of a copy that failed; the WAL keeps all, and the next one tries again */
  constructor(
    private readonly file: string,
    private readonly warn: (message: string, error: unknown) => void,
  ) {}

  /** A transaction has changed so many rows. */
  changed(rows: number): void {
    this.rows += rows;
    if (this.rows >= ROWS) this.copy();
  }

  /** Copies what there is now, after which the WAL is written from its beginning again. */
  copy(): void {
    if (this.running) return;
    this.rows = 0;
    this.running = true;
    this.worker ??= this.startWorker();
    this.worker.postMessage('copy');
  }

  /** Ends the thread, at whatever point: a copy that is cut off does no harm. */
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
