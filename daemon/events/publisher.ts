import { setTimeout as sleep } from 'node:timers/promises';
import type { Alarms } from '../alarm.js';
import type { Outbox, OutboxEntry } from '../index/outbox.js';
import { type Identified, type Origin, toEvent } from './event.js';

/** The pauses after failures, in milliseconds: each is twice as long as the one before. */
const FIRST_PAUSE_MILLISECONDS = 1000;
/** How often acknowledged events are deleted, and too many dropped. */
const TIDY_MILLISECONDS = 1000;
/** Events that could not be sent for so long raise an alarm, in milliseconds. */
const ALARM_MILLISECONDS = 60_000;

/** Where events are sent. */
export interface Sink {
  /** For the status and the log. */
  readonly target: string;
  /** Events of a page at most. */
  readonly pageLength: number;
  /** The longest pause after failures, in milliseconds. */
  readonly longestPause: number;
  start(): void;
  stop(): Promise<void>;
  /** Sends a page. Resolves with how many of its first events arrived, and with the reason if others did not. Never rejects. */
  send(page: readonly Identified[]): Promise<{ arrived: number; failure?: string }>;
  /** Calls the listener when another attempt may succeed. */
  onRecovered(listener: () => void): void;
}

export interface PublisherParts {
  outbox: Outbox;
  origin: Origin;
  sink: Sink;
  /** Number of events that are kept while they cannot be sent. */
  backlog: number;
  alarms: Alarms;
  log: { info(context: object, message: string): void; warn(context: object, message: string): void };
}

/**
 * Sends the entries of the outbox, at least once. One page is under way at a time, so that the events of a file, which are in different
 * pages, are in order. Those of a page are sent in order over one connection; one that has to be sent again may arrive after later ones.
 */
export class Publisher {
  /** Totals since the start of the process. */
  readonly totals = { sent: 0, dropped: 0 };
  private readonly ending = new AbortController();
  private running: Promise<void> = Promise.resolve();
  private timer: NodeJS.Timeout | undefined;
  private failure: string | undefined;
  private failingSince = 0;
  private pause = FIRST_PAUSE_MILLISECONDS;
  /** Number of events dropped since the last one that arrived. */
  private gap = 0;
  private wake: () => void = () => {};

  constructor(private readonly parts: PublisherParts) {}

  /** For the status. */
  get state() {
    const { sink, outbox } = this.parts;
    const { oldest } = outbox;
    return {
      target: sink.target,
      waiting: outbox.waiting,
      /** When the oldest of them was recorded. */
      oldest: oldest === undefined ? null : new Date(oldest).toISOString(),
      ...this.totals,
      /** Human-readable reason why events could not be sent; null if they can. */
      failure: this.failure ?? null,
    };
  }

  /** Number of events that wait, and the age of the oldest in seconds. */
  get backlog(): { events: number; seconds: number } {
    const { waiting, oldest } = this.parts.outbox;
    return { events: waiting, seconds: oldest === undefined ? 0 : Math.max(0, (Date.now() - oldest) / 1000) };
  }

  start(): void {
    const { outbox, sink } = this.parts;
    sink.start();
    sink.onRecovered(() => this.wake());
    outbox.onPublish(() => {
      if (this.failure === undefined) this.wake();
    });
    this.timer = setInterval(() => this.tidy(), TIDY_MILLISECONDS).unref();
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.ending.abort();
    clearInterval(this.timer);
    this.parts.outbox.onPublish(undefined);
    this.wake();
    await this.parts.sink.stop();
    await this.running;
    this.tidy();
  }

  private async run(): Promise<void> {
    const { signal } = this.ending;
    while (!signal.aborted) {
      try {
        if (await this.sendPage()) continue;
      } catch (error) {
        this.failed((error as Error).message);
      }
      if (!signal.aborted) await this.rest();
    }
  }

  /** Sends the next page. Resolves with whether to go on at once: false if nothing waits, or after a failure. */
  private async sendPage(): Promise<boolean> {
    const { outbox, sink, origin } = this.parts;
    const { entries, upTo } = outbox.read(sink.pageLength);
    const page = oneOfEachFile(entries);
    if (page.length === 0) {
      outbox.acknowledge(upTo);
      return false;
    }
    const { arrived, failure } = await sink.send(page.map((entry) => toEvent(entry, origin)));
    if (arrived > 0) this.arrived(page.slice(0, arrived));
    if (failure !== undefined) this.failed(failure);
    else if (arrived === entries.length) outbox.acknowledge(upTo);
    return failure === undefined;
  }

  private arrived(page: readonly OutboxEntry[]): void {
    const { outbox, log, alarms, sink } = this.parts;
    outbox.acknowledge(page.at(-1)?.number ?? 0);
    this.totals.sent += page.length;
    this.pause = FIRST_PAUSE_MILLISECONDS;
    if (this.gap > 0) log.warn({ dropped: this.gap }, 'events are sent again; those that were dropped are missing');
    else if (this.failure !== undefined) log.info({ target: sink.target }, 'events are sent again');
    if (this.failure !== undefined || this.gap > 0) alarms.clear('events', sink.target);
    this.gap = 0;
    this.failure = undefined;
  }

  private failed(reason: string): void {
    const { log, sink } = this.parts;
    if (this.ending.signal.aborted) return;
    if (this.failure === undefined) {
      this.failingSince = performance.now();
      log.warn({ target: sink.target, reason }, 'events cannot be sent; they are kept, and sent later');
    }
    this.failure = reason;
  }

  /** Resolves when there are more events, or after the pause that follows a failure. */
  private async rest(): Promise<void> {
    const woken = new AbortController();
    this.wake = () => woken.abort();
    const { sink, outbox } = this.parts;
    if (this.failure === undefined) {
      if (outbox.waiting > 0) return;
      await new Promise<void>((resolve) => woken.signal.addEventListener('abort', () => resolve(), { once: true }));
      return;
    }
    await sleep(this.pause, undefined, { signal: woken.signal }).catch(() => {});
    this.pause = Math.min(this.pause * 2, sink.longestPause);
  }

  /** Deletes the events that arrived, drops the oldest if too many wait, and raises the alarm. */
  private tidy(): void {
    const { outbox, backlog, log, alarms, sink } = this.parts;
    const dropped = outbox.dropBeyond(backlog);
    if (dropped > 0) {
      if (this.gap === 0) log.warn({ target: sink.target, backlog }, 'too many events wait; the oldest are dropped');
      this.gap += dropped;
      this.totals.dropped += dropped;
    }
    try {
      outbox.deleteAcknowledged();
    } catch (error) {
      log.warn({ err: error }, 'events that were sent could not be deleted; this is retried');
    }
    if (this.ending.signal.aborted || this.failure === undefined) return;
    if (this.gap === 0 && performance.now() - this.failingSince < ALARM_MILLISECONDS) return;
    const lost = this.gap > 0 ? `, and the oldest ${this.gap} had to be dropped` : '';
    alarms.raise('events', sink.target, `events cannot be sent${lost}: ${this.failure}`);
  }
}

/** The first entries of a page, up to the second one of a file: if the first of the two has to be sent again, the second must not arrive before it. */
function oneOfEachFile(entries: readonly OutboxEntry[]): readonly OutboxEntry[] {
  const seen = new Set<string>();
  const end = entries.findIndex(({ key }) => {
    const file = key.toString('latin1');
    if (seen.has(file)) return true;
    seen.add(file);
    return false;
  });
  return end < 0 ? entries : entries.slice(0, end);
}
