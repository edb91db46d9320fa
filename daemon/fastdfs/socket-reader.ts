import type { Socket } from 'node:net';

/** Bytes that may be received ahead of the reader; beyond that the socket is paused. */
const READ_AHEAD = 128 * 1024;

/** Receives bytes. If `write` returns a promise, it may be called again only after that resolves. */
export interface ByteSink {
  write(chunk: Buffer): Promise<void> | undefined;
}

/** The client closed the connection in the middle of a request. */
export class ClientGone extends Error {
  override name = 'ClientGone';
}

/** Reads a socket by counts of bytes, with back pressure to the sender. */
export class SocketReader {
  private chunks: Buffer[] = [];
  private length = 0;
  private wanted = 0;
  private isPaused = false;
  private isEnded = false;
  private resolve: ((arrived: boolean) => void) | undefined;
  /** Bytes received so far. */
  received = 0;

  constructor(private readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => this.arrive(chunk));
    socket.on('end', () => this.end());
    socket.on('close', () => this.end());
  }

  /** Whether bytes of the client are being waited for. */
  get isWaiting(): boolean {
    return this.resolve !== undefined;
  }

  /** Whether bytes have been received that were not read yet. */
  get hasBytes(): boolean {
    return this.length > 0;
  }

  /** Resolves with true when `count` bytes (at most `READ_AHEAD`) are there, with false if the connection ended before. */
  fill(count: number): Promise<boolean> | boolean {
    if (this.length >= count) return true;
    if (this.isEnded) return false;
    this.wanted = count;
    this.go();
    return new Promise((resolve) => {
      this.resolve = resolve;
    });
  }

  /** The next `count` bytes. Rejects with ClientGone if the connection ends before. For short parts only. */
  async read(count: number): Promise<Buffer> {
    if (this.length < count && !(await this.fill(count))) throw gone();
    return this.take(count);
  }

  /** The next `count` bytes, which must have been received. */
  take(count: number): Buffer {
    if (count === 0) return Buffer.alloc(0);
    const [first] = this.chunks;
    if (!first || first.length < count) {
      this.chunks = [Buffer.concat(this.chunks, this.length)];
      return this.take(count);
    }
    this.shorten(first, count);
    return first.subarray(0, count);
  }

  /** Passes the next `count` bytes on as they arrive. Rejects with ClientGone, or with the error of the sink. */
  async stream(count: number, sink: ByteSink): Promise<void> {
    let left = count;
    while (left > 0) {
      if (this.length === 0 && !(await this.fill(1))) throw gone();
      const chunk = this.next(left);
      left -= chunk.length;
      const pressure = sink.write(chunk);
      if (pressure) await pressure;
    }
  }

  /** Reads and drops bytes. Resolves with false if the connection ended before. */
  async skip(count: number): Promise<boolean> {
    let left = count;
    while (left > 0) {
      if (this.length === 0 && !(await this.fill(1))) return false;
      left -= this.next(left).length;
    }
    return true;
  }

  private next(limit: number): Buffer {
    const first = this.chunks[0] as Buffer;
    const count = Math.min(limit, first.length);
    this.shorten(first, count);
    return count === first.length ? first : first.subarray(0, count);
  }

  private shorten(first: Buffer, count: number): void {
    this.length -= count;
    if (count === first.length) this.chunks.shift();
    else this.chunks[0] = first.subarray(count);
  }

  private arrive(chunk: Buffer): void {
    this.received += chunk.length;
    this.chunks.push(chunk);
    this.length += chunk.length;
    if (this.resolve && this.length >= this.wanted) this.settle(true);
    else if (this.length >= READ_AHEAD && !this.isPaused) {
      this.isPaused = true;
      this.socket.pause();
    }
  }

  private end(): void {
    this.isEnded = true;
    if (this.resolve) this.settle(false);
  }

  private settle(arrived: boolean): void {
    const { resolve } = this;
    this.resolve = undefined;
    resolve?.(arrived);
  }

  private go(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    this.socket.resume();
  }
}

function gone(): ClientGone {
  return new ClientGone('the client went away before its request was whole');
}
