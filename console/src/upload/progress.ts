import { signal } from '@preact/signals';

/** Minimum time between updates of the signals. */
const INTERVAL_MILLISECONDS = 100;
/** Weight of a new measurement in the smoothed speed, per second that it covers. */
const SMOOTHING = 0.4;
const MEASURE_MILLISECONDS = 500;

/** Transferred or hashed bytes, and their rate; the signals change at most ten times per second. */
export class Progress {
  readonly bytes = signal(0);
  /** Bytes per second; 0 if not known. */
  readonly speed = signal(0);
  private latest = 0;
  private timer: number | undefined;
  private measured = { time: 0, bytes: 0 };

  constructor(private readonly told: () => void) {}

  /** Starts at `bytes` that do not count for the speed, such as the offset of a resumed upload. */
  begin(bytes = 0): void {
    this.measured = { time: performance.now(), bytes };
    this.speed.value = 0;
    this.latest = bytes;
    this.flush();
  }

  report(bytes: number): void {
    this.latest = bytes;
    this.timer ??= window.setTimeout(() => this.flush(), INTERVAL_MILLISECONDS);
  }

  flush(): void {
    window.clearTimeout(this.timer);
    this.timer = undefined;
    this.measure();
    this.bytes.value = this.latest;
    this.told();
  }

  private measure(): void {
    const time = performance.now();
    const elapsed = time - this.measured.time;
    if (elapsed < MEASURE_MILLISECONDS) return;
    const speed = Math.max(0, ((this.latest - this.measured.bytes) / elapsed) * 1000);
    const old = this.speed.peek();
    const share = old === 0 ? 1 : 1 - (1 - SMOOTHING) ** (elapsed / 1000);
    this.speed.value = old + (speed - old) * share;
    this.measured = { time, bytes: this.latest };
  }
}
