import { Worker } from 'node:worker_threads';

/** A file, or a part of one, that a thread reads. */
export interface ToRead {
  path: string;
  offset: number;
  /** Bytes; undefined for the whole file. */
  size: number | undefined;
  /** Whether the bytes are wanted, too. Of up to 1 MiB. */
  keep: boolean;
}

/** What a thread has read. */
export interface ReadFile {
  size: number;
  crc32: number;
  /** In hex. */
  sha256: string;
  /** Of the file. */
  mtimeMs: number;
  ino: number;
  content: Uint8Array | undefined;
}

/** Threads that read and hash files, so that the main thread answers requests in the meantime. */
export class FileReaders {
  private readonly workers: Worker[];
  /** For each thread, the end of its last task. */
  private readonly tasks: Promise<unknown>[];
  private next = 0;

  constructor(count: number) {
    const program = new URL('./adopt-worker.js', import.meta.url);
    this.workers = Array.from({ length: count }, () => new Worker(program));
    // Errors reject the task under way.
    for (const worker of this.workers) worker.on('error', () => {});
    this.tasks = this.workers.map(() => Promise.resolve());
  }

  /** Reads files in order, in one of the threads. A file that cannot be read gets the reason. */
  read(wanted: readonly ToRead[]): Promise<(ReadFile | { reason: string })[]> {
    const number = this.next++ % this.workers.length;
    const worker = this.workers[number] as Worker;
    const task = (this.tasks[number] as Promise<unknown>).then(() => ask(worker, wanted));
    this.tasks[number] = task.catch(() => {});
    return task;
  }

  async end(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.terminate()));
  }
}

function ask(worker: Worker, wanted: readonly ToRead[]): Promise<(ReadFile | { reason: string })[]> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      worker.off('message', answered);
      worker.off('error', failed);
      worker.off('exit', ended);
      act();
    };
    const answered = (found: (ReadFile | { reason: string })[]) => settle(() => resolve(found));
    const failed = (error: Error) => settle(() => reject(error));
    const ended = () => settle(() => reject(new Error('a thread that reads files has ended')));
    worker.on('message', answered);
    worker.on('error', failed);
    worker.on('exit', ended);
    worker.postMessage(wanted);
  });
}
