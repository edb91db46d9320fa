import { setTimeout as sleep } from 'node:timers/promises';

/** Unused capacity that accumulates for bursts, in seconds. */
const BURST_SECONDS = 0.25;

/** Limits a throughput to a number of bytes per second. */
export class RateLimit {
  private free = 0;

  /** @param bytesPerSecond may change at any time */
  constructor(public bytesPerSecond: number) {}

  /** Reserves `bytes`. Resolves when the limit permits them; rejects if `signal` is aborted before. */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const now = performance.now() / 1000;
    this.free = Math.max(this.free, now - BURST_SECONDS) + bytes / this.bytesPerSecond;
    const wait = this.free - now;
    if (wait > 0) await sleep(wait * 1000, undefined, signal ? { signal } : {});
  }
}
