import { z } from 'zod';
import { describeNode, type Node } from '../status.js';

/*
 * What a node did in the last hour, for the charts of the web page: one sample each ten seconds, in memory.
 */

export const INTERVAL_SECONDS = 10;
/** Number of samples that are kept. */
export const KEPT = 360;

const count = z.number().int().nonnegative();

/** What happened in ten seconds. */
export const sampleSchema = z.object({
  /** The end of the ten seconds, in units of ten seconds since 1970. */
  slot: count,
  uploads: count,
  /** Requests that nginx answered itself; null if they are not known. */
  downloads: count.nullable(),
  /** Requests that the daemon answered with a status from 500 on. */
  errors: count,
  /** Entries of other nodes' logs that this node does not hold, at the end. */
  backlog: count,
});

export type Sample = z.output<typeof sampleSchema>;

/** Counts since the start, and the backlog of now. */
export type Counts = Omit<Sample, 'slot'>;

/** The counts of a node. */
export function countsOf(node: Parameters<typeof describeNode>[0] & Pick<Node, 'requests'>): Counts {
  const { uploads, downloads, backlog } = describeNode(node);
  const entries = backlog.reduce((sum, one) => sum + one.entries, 0);
  return { uploads, downloads, errors: node.requests.failures, backlog: entries };
}

/** The samples of the last hour. */
export class History {
  private samples: Sample[] = [];
  private before: Counts;
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly read: () => Counts) {
    this.before = read();
    this.timer = setInterval(() => this.take(Date.now()), INTERVAL_SECONDS * 1000).unref();
  }

  /** The samples, oldest first. There is none for a time in which the node was not running. */
  get recent(): readonly Sample[] {
    return this.samples;
  }

  /** Takes a sample. @param now in milliseconds since 1970 */
  take(now: number): void {
    const slot = Math.round(now / 1000 / INTERVAL_SECONDS);
    const { before } = this;
    const counts = this.read();
    this.before = counts;
    const downloads =
      counts.downloads === null ? null : Math.max(0, counts.downloads - (before.downloads ?? counts.downloads));
    const { backlog } = counts;
    const [uploads, errors] = [counts.uploads - before.uploads, counts.errors - before.errors];
    const last = this.samples.at(-1);
    // The clock was set back: what is later than now would hide the samples that follow.
    if (last && last.slot >= slot) this.samples = this.samples.filter((sample) => sample.slot < slot);
    this.samples.push({ slot, uploads, downloads, errors, backlog });
    this.samples = this.samples.filter((sample) => sample.slot > slot - KEPT).slice(-KEPT);
  }

  stop(): void {
    clearInterval(this.timer);
  }
}
