import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Made, Order, PictureMessage } from './order.js';

const PROGRAM = fileURLToPath(new URL('picture-worker.js', import.meta.url));

/** Orders that wait for a process; further ones are refused. */
const QUEUE = 64;
/** Orders that have waited this long are refused: nginx and the client soon give them up. */
const LONGEST_WAIT_MILLISECONDS = 30_000;
/** How long a picture may take before its process is killed. */
const LONGEST_MILLISECONDS = 20_000;
/** Processes without an order for this long end, because each takes 60 MB and more. */
const IDLE_MILLISECONDS = 60_000;
/** How long pictures under way may take when the node stops. */
const STOP_MILLISECONDS = 2000;

/** Memory of a process: a basis, and for each pixel of the largest original four channels twice. In bytes. */
const BASE_MEMORY = 512 * 2 ** 20;
const MEMORY_PER_PIXEL = 8;

/**
 * Why no picture was made.
 *
 * - `refused`: the original is not a picture that is read here
 * - `gone`, `unreadable`: the original is not there, or cannot be read
 * - `damaged`: its bytes are not those that were stored
 * - `busy`: too many pictures are waiting
 * - `missing`: sharp cannot be loaded
 * - `died`: the process ended or was killed while it made the picture
 * - `stopping`: the node is stopping
 */
export type PictureFault = 'refused' | 'gone' | 'unreadable' | 'damaged' | 'busy' | 'missing' | 'died' | 'stopping';

/** No picture was made. The message says why in detail; it is for the log. */
export class NoPicture extends Error {
  override name = 'NoPicture';

  constructor(
    readonly fault: PictureFault,
    reason: string,
  ) {
    super(reason);
  }
}

interface Task {
  order: Order;
  /** When it was asked for, by performance.now(). */
  since: number;
  resolve(made: Made): void;
  reject(error: NoPicture): void;
}

/** Processes that make pictures (picture-worker.ts), started when they are needed. Each makes one at a time. */
export class PictureProcesses {
  private readonly queue: Task[] = [];
  private readonly running = new Set<PictureProcess>();
  private idleTimer: NodeJS.Timeout | undefined;
  private stopped = false;

  /**
   * @param most the largest number of processes
   * @param pixels the largest number of pixels of an original, by which their memory is limited
   * @param longestWait how long an order may wait for a process, in milliseconds
   */
  constructor(
    private readonly most: number,
    private readonly pixels: number,
    private readonly longestWait = LONGEST_WAIT_MILLISECONDS,
  ) {}

  /** Makes a picture. Rejects with NoPicture. */
  run(order: Omit<Order, 'pixels'>): Promise<Made> {
    return new Promise((resolve, reject) => {
      const task = { order: { ...order, pixels: this.pixels }, since: performance.now(), resolve, reject };
      if (this.stopped) reject(new NoPicture('stopping', 'the node is stopping'));
      else if (this.queue.length >= QUEUE) reject(new NoPicture('busy', `${QUEUE} pictures are waiting`));
      else {
        this.queue.push(task);
        this.next();
      }
    });
  }

  /** Refuses waiting and new orders; resolves when all processes have ended. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.idleTimer);
    for (const { reject } of this.queue.splice(0)) reject(new NoPicture('stopping', 'the node is stopping'));
    await Promise.all([...this.running].map((one) => one.end(STOP_MILLISECONDS)));
  }

  /** Hands out waiting orders as far as there are processes for them. */
  private next(): void {
    clearTimeout(this.idleTimer);
    while (this.queue.length > 0) {
      const free = [...this.running].find((one) => one.isFree);
      if (!free && this.running.size >= this.most) return;
      const task = this.queue.shift() as Task;
      if (performance.now() - task.since > this.longestWait) {
        task.reject(new NoPicture('busy', 'it has waited too long for a process'));
        continue;
      }
      try {
        (free ?? this.another()).take(task);
      } catch (error) {
        // spawn() throws some errors, such as that there is no memory for another process.
        task.reject(new NoPicture('died', `a process cannot be started: ${(error as Error).message}`));
      }
    }
    if ([...this.running].every((one) => one.isFree)) {
      this.idleTimer = setTimeout(() => {
        for (const one of this.running) void one.end(0);
      }, IDLE_MILLISECONDS).unref();
    }
  }

  private another(): PictureProcess {
    const started = new PictureProcess(BASE_MEMORY + MEMORY_PER_PIXEL * this.pixels, () => this.next());
    this.running.add(started);
    void started.ended.then(() => {
      this.running.delete(started);
      if (!this.stopped) this.next();
    });
    return started;
  }
}

/** One process. */
class PictureProcess {
  readonly ended: Promise<void>;
  private readonly child: ChildProcess;
  private task: Task | undefined;
  private isReady = false;
  private isEnding = false;
  private timer: NodeJS.Timeout | undefined;
  private errors = '';

  /**
   * @param memory limit of its data, in bytes
   * @param freed called when it has answered
   */
  constructor(
    memory: number,
    private readonly freed: () => void,
  ) {
    // No core, which would be written with the memory of a process that aborts. A priority lower than that of nginx and the daemon.
    const limited = `ulimit -d ${Math.ceil(memory / 1024)} && ulimit -c 0 && exec nice -n 10 "$0" "$@"`;
    const words = ['--max-old-space-size=128', PROGRAM];
    this.child = spawn('/bin/sh', ['-c', limited, process.execPath, ...words], {
      // Nothing of the daemon's environment, which may contain secrets. Arenas of threads would fragment the memory.
      env: { MALLOC_ARENA_MAX: '2', UV_THREADPOOL_SIZE: '2' },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'advanced',
    });
    this.child.on('message', (message: PictureMessage) => this.hear(message));
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.errors = `${this.errors}${chunk}`.slice(-1000);
    });
    this.ended = new Promise((resolve) => {
      const end = (how: string) => {
        this.isEnding = true;
        const details = this.errors.trim() === '' ? '' : `: ${this.errors.trim()}`;
        this.finish((task) => task.reject(new NoPicture('died', `${how}${details}`)));
        resolve();
      };
      // `close` follows when all of its output has been read.
      this.child.once('exit', () => {
        this.isEnding = true;
      });
      this.child.once('close', (code, signal) => end(`a process ended with ${signal ?? code}`));
      this.child.on('error', (error) => {
        // Otherwise a message did not reach a process that has just ended, and `close` follows.
        if (this.child.pid === undefined) end(`a process cannot be started: ${error.message}`);
      });
    });
  }

  get isFree(): boolean {
    return this.task === undefined && !this.isEnding;
  }

  take(task: Task): void {
    this.task = task;
    this.timer = setTimeout(() => {
      this.errors = `killed after ${LONGEST_MILLISECONDS / 1000} s`;
      this.kill();
    }, LONGEST_MILLISECONDS);
    if (this.isReady) this.child.send(task.order);
  }

  /** Ends it when it has answered, or after `milliseconds`. */
  async end(milliseconds: number): Promise<void> {
    if (this.isFree) this.kill();
    else setTimeout(() => this.kill(), milliseconds).unref();
    this.isEnding = true;
    await this.ended;
  }

  private kill(): void {
    this.isEnding = true;
    this.child.kill('SIGKILL');
  }

  private hear(message: PictureMessage): void {
    if (message.kind === 'ready') {
      this.isReady = true;
      if (this.task) this.child.send(this.task.order);
      return;
    }
    this.finish((task) => {
      if (message.kind === 'made') task.resolve(message.made);
      else task.reject(new NoPicture(faultOf(message), message.reason));
    });
    if (this.isEnding || message.kind === 'missing') this.kill();
    else this.freed();
  }

  private finish(settle: (task: Task) => void): void {
    const { task } = this;
    clearTimeout(this.timer);
    this.task = undefined;
    if (task) settle(task);
  }
}

function faultOf(message: Exclude<PictureMessage, { kind: 'ready' | 'made' }>): PictureFault {
  if (message.kind !== 'unreadable') return message.kind;
  return message.isGone ? 'gone' : 'unreadable';
}
