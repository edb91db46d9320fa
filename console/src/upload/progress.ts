import { signal } from '@preact/signals';

/** How often the screen hears of progress. */
const INTERVAL_MILLISECONDS = 100;
/** How much of a new measurement the speed takes over, per second that it covers. */
const SMOOTHING = 0.4;
const MEASURE_MILLISECONDS = 500;

/** Bytes that are done, and how fast; told to the screen at most ten times a second. */
export class Progress {
  readonly bytes = signal(0);
  /** Bytes a second, 0 when not known. */
  readonly speed = signal(0);
  private latest = 0;
  private timer: number | undefined;
  private measured = { time: 0, bytes: 0 };

  constructor(private readonly told: () => void) {}

  /** Begins at a number of bytes that cost no time, such as the offset of an upload that goes on. */
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
