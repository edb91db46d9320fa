import { z } from 'zod';
import type { CursorState, ReplicationLog } from '../index/replication-log.js';

/** A follower that has not asked for so long is not there, in milliseconds. */
const SILENCE_MILLISECONDS = 5000;
const LOOK_MILLISECONDS = 200;

const number = z.number().int().nonnegative();

/** What a follower says with each question: how far it has come, and what it does not hold of that. */
export const questionSchema = z.object({
  /** The epoch of its cursor (nodes of earlier versions call it so); empty where it has none. */
  incarnation: z.string().max(64),
  /** It holds everything between these two, */
  from: number,
  after: number,
  /** but for these: large ones under way, and those that failed. */
  without: z.array(number).max(100_000),
  /** Bytes that have come of those under way, by number. */
  fetching: z.array(z.tuple([number, number])).max(100),
  /** How long to wait for news, in milliseconds. */
  wait: number.max(60_000),
});

export type Question = z.output<typeof questionSchema>;

interface Follower {
  from: number;
  after: number;
  without: ReadonlySet<number>;
  fetching: ReadonlyMap<number, number>;
  /** Questions that wait for an answer now. */
  waiting: number;
  /** When it was last heard, in milliseconds of `performance.now()`, */
  heard: number;
  /** when it last came further in the log, */
  advanced: number;
  /** and when bytes of anything that it fetches last came. */
  fetched: number;
}

/** What became of a question. */
interface Heard {
  cursor: CursorState;
  answered(): void;
}

interface Waiter {
  sequences: readonly number[];
  followers: number;
  /** When its copies last came nearer (`performance.now()`), and how long that may be ago; in milliseconds. */
  progress: number;
  patience: number;
  settle(enough: boolean): void;
}

/** What the followers of this node's log hold, and who waits for that. */
export class Acknowledgements {
  private readonly followers = new Map<number, Follower>();
  private readonly waiters = new Set<Waiter>();
  /** The same by the entries that they wait for. */
  private readonly awaited = new Map<number, Set<Waiter>>();
  private timer: NodeJS.Timeout | undefined;

  /**
   * @param isDown whether a follower is known not to answer
   * @param onDiverged a follower has entries of this node's log that the log has lost
   */
  constructor(
    private readonly log: ReplicationLog,
    private readonly isDown: (id: number) => boolean,
    private readonly onDiverged: (id: number, after: number) => void = () => {},
  ) {}

  /** Followers that are there now. */
  get live(): number[] {
    const now = performance.now();
    const isLive = (one: Follower) => one.waiting > 0 || now - one.heard < SILENCE_MILLISECONDS;
    return [...this.followers].filter(([id, one]) => isLive(one) && !this.isDown(id)).map(([id]) => id);
  }

  /**
   * A follower asks. What it says counts only where its cursor is of this log's history, for a number means another entry
   * in another one. Returns what the cursor is worth, and what to call when the follower was answered.
   */
  heard(id: number, { incarnation: epoch, from, after, without, fetching }: Question): Heard {
    const before = this.followers.get(id);
    const cursor = this.log.stateOf({ epoch, sequence: after });
    const valid = cursor === 'known';
    const now = performance.now();
    const reached = valid ? after : 0;
    const follower = {
      from,
      after: reached,
      without: new Set(valid ? without : []),
      fetching: new Map(valid ? fetching : []),
      waiting: (before?.waiting ?? 0) + 1,
      heard: now,
      advanced: reached > (before?.after ?? 0) ? now : (before?.advanced ?? Number.NEGATIVE_INFINITY),
      fetched: before?.fetched ?? Number.NEGATIVE_INFINITY,
    };
    if ([...follower.fetching].some(([entry, bytes]) => bytes > (before?.fetching.get(entry) ?? 0)))
      follower.fetched = now;
    this.followers.set(id, follower);
    this.tellWaiters(before, follower);
    if (cursor === 'diverged') this.onDiverged(id, after);
    const answered = () => {
      const current = this.followers.get(id);
      if (!current) return;
      current.waiting--;
      current.heard = performance.now();
    };
    return { cursor, answered };
  }

  /** How many followers hold an entry of the log. */
  countFor(entry: number): number {
    let count = 0;
    for (const { from, after, without } of this.followers.values()) {
      if (from < entry && entry <= after && !without.has(entry)) count++;
    }
    return count;
  }

  /** How many entries of the log a follower has not got. */
  backlogOf(id: number): number {
    const { after = 0, without } = this.followers.get(id) ?? {};
    return this.log.published - after + (without?.size ?? 0);
  }

  /** How many entries of the log fewer than so many nodes hold, this one included, and nobody waits for their copies. */
  underReplicated(copies: number): number {
    if (copies === 1) return 0;
    const held = [...this.followers.values()].sort((one, other) => other.after - one.after);
    // Up to here enough followers have everything but what they say.
    const { after = 0 } = held[copies - 2] ?? {};
    const gaps = new Set(held.flatMap(({ without }) => [...without].filter((entry) => entry <= after)));
    const missing = [...gaps].filter((entry) => this.countFor(entry) < copies - 1).length;
    const all = this.log.published - Math.max(after, this.log.startsAfter) + missing;
    return all - this.underWay(copies);
  }

  /** How many of those are uploads and deletions that are not answered yet. */
  private underWay(copies: number): number {
    const awaited = new Set([...this.waiters].flatMap(({ sequences }) => [...sequences]));
    return [...awaited].filter((entry) => this.countFor(entry) < copies - 1).length;
  }

  /** Up to where all of these followers hold everything. */
  passedByAll(ids: readonly number[]): number {
    const passed = ids.map((id) => {
      const { after = 0, without = new Set<number>() } = this.followers.get(id) ?? {};
      return Math.min(after, ...[...without].map((entry) => entry - 1));
    });
    return Math.min(this.log.published, ...passed);
  }

  /**
   * Resolves with true when so many followers hold all these entries; with false when that has come no nearer for
   * `patience` milliseconds.
   */
  waitFor(sequences: readonly number[], followers: number, patience: number): Promise<boolean> {
    if (this.areAcknowledged(sequences, followers)) return Promise.resolve(true);
    return new Promise((resolve) => {
      const settle = (enough: boolean) => {
        this.forget(waiter);
        resolve(enough);
      };
      const waiter: Waiter = { sequences, followers, patience, progress: performance.now(), settle };
      this.waiters.add(waiter);
      for (const entry of sequences) this.awaited.set(entry, (this.awaited.get(entry) ?? new Set()).add(waiter));
      // One timer for all of them, while there are any.
      this.timer ??= setInterval(() => this.lookAtWaiters(), LOOK_MILLISECONDS);
    });
  }

  /** Settles everybody who waits: what they have by now is what they get. */
  settleAll(): void {
    for (const waiter of this.waiters) waiter.settle(false);
  }

  private lookAtWaiters(): void {
    const now = performance.now();
    for (const waiter of this.waiters) if (now - this.progressOf(waiter) > waiter.patience) waiter.settle(false);
    if (this.waiters.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /**
   * When what somebody waits for last came nearer: a follower that has not come so far yet may have come further, and one that
   * is missing it may have come further with what it fetches first.
   */
  private progressOf({ sequences, progress }: Waiter): number {
    const last = sequences.at(-1) ?? 0;
    const followers = [...this.followers.values()];
    const behind = followers.filter(({ after }) => after < last);
    const incomplete = followers.filter(({ from, after, without }) =>
      sequences.some((entry) => entry <= from || entry > after || without.has(entry)),
    );
    return Math.max(progress, ...behind.map(({ advanced }) => advanced), ...incomplete.map(({ fetched }) => fetched));
  }

  private areAcknowledged(sequences: readonly number[], followers: number): boolean {
    return sequences.every((entry) => this.countFor(entry) >= followers);
  }

  private forget(waiter: Waiter): void {
    this.waiters.delete(waiter);
    for (const entry of waiter.sequences) {
      const others = this.awaited.get(entry);
      others?.delete(waiter);
      if (others?.size === 0) this.awaited.delete(entry);
    }
  }

  /** Looks at those only who wait for what this question has changed: with many uploads at once each of them is looked at often. */
  private tellWaiters(before: Follower | undefined, follower: Follower): void {
    if (this.waiters.size === 0) return;
    const now = performance.now();
    const touched = new Set<Waiter>();
    for (const entry of this.newlyAcknowledged(before, follower)) {
      for (const waiter of this.awaited.get(entry) ?? []) touched.add(waiter);
    }
    for (const waiter of touched) {
      waiter.progress = now;
      if (this.areAcknowledged(waiter.sequences, waiter.followers)) waiter.settle(true);
    }
  }

  /** The entries somebody waits for that a follower may hold now and did not before. */
  private newlyAcknowledged(before: Follower | undefined, { from, after, without }: Follower): number[] {
    const known = { from: 0, after: 0, without: new Set<number>(), ...before };
    // What it could not say before, it may say of anything.
    const first = from < known.from ? from : known.after;
    const came = [...known.without].filter((entry) => !without.has(entry));
    if (after - first > this.awaited.size) {
      for (const entry of this.awaited.keys()) if (first < entry && entry <= after) came.push(entry);
    } else for (let entry = first + 1; entry <= after; entry++) came.push(entry);
    return came;
  }
}
