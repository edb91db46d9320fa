import { setTimeout as sleep } from 'node:timers/promises';

/** Bursts of up to so long at full speed, in seconds. */
const BURST_SECONDS = 0.25;

/** Slows down what would go faster than so many bytes a second: each piece waits for the ones before it. */
export class RateLimit {
  private free = 0;

  constructor(private readonly bytesPerSecond: number) {}

  /** Resolves when so many more bytes may go. */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const now = performance.now() / 1000;
    this.free = Math.max(this.free, now - BURST_SECONDS) + bytes / this.bytesPerSecond;
    const wait = this.free - now;
    if (wait > 0) await sleep(wait * 1000, undefined, signal ? { signal } : {});
  }
}
