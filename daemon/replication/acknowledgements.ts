import { z } from 'zod';
import type { CursorState, ReplicationLog } from '../index/replication-log.js';

/** A follower without a request for this long is not live, in milliseconds. */
const SILENCE_MILLISECONDS = 5000;
const LOOK_MILLISECONDS = 200;

const number = z.number().int().nonnegative();

/** A follower's request for log entries, which acknowledges the entries it holds. */
export const questionSchema = z.object({
  /** The epoch of its cursor (the name is of earlier versions); empty if it has no cursor. */
  incarnation: z.string().max(64),
  /** It holds the entries after `from`, up to and including `after`, */
  from: number,
  after: number,
  /** except these: large files being fetched, failed ones, and deferred deletions. */
  without: z.array(number).max(100_000),
  /** Files being fetched: sequence number, and bytes received. */
  fetching: z.array(z.tuple([number, number])).max(100),
  /** How long the response may wait for new entries, in milliseconds. */
  wait: number.max(60_000),
  /** The version of the records that it understands (`RECORDS`); absent in earlier versions. */
  records: number.default(1),
});

export type Question = z.output<typeof questionSchema>;

interface Follower {
  from: number;
  after: number;
  without: ReadonlySet<number>;
  fetching: ReadonlyMap<number, number>;
  /** Number of its requests that wait for a response. */
  waiting: number;
  /** When its last request or response was, in milliseconds of `performance.now()`. */
  heard: number;
  /** When its cursor last advanced. */
  advanced: number;
  /** When it last received bytes of a file that it fetches. */
  fetched: number;
  /** The same object in all its requests since it was first heard of, or heard of again after `forget`. */
  membership: object;
}

/** Result of recording a request. */
interface Heard {
  cursor: CursorState;
  /** To be called when the response has been made. */
  answered(): void;
}

interface Waiter {
  sequences: readonly number[];
  followers: number;
  /** Time of the last progress (`performance.now()`), and how long ago it may be; in milliseconds. */
  progress: number;
  patience: number;
  settle(enough: boolean): void;
}

/** The entries of this node's log that followers have acknowledged, and the requests that wait for acknowledgements. */
export class Acknowledgements {
  private readonly followers = new Map<number, Follower>();
  private readonly waiters = new Set<Waiter>();
  /** The waiters by the entries that they wait for. */
  private readonly awaited = new Map<number, Set<Waiter>>();
  private timer: NodeJS.Timeout | undefined;

  /**
   * @param isDown whether a follower is known to be unreachable
   * @param onDiverged called if a follower's cursor proves that this node's log has lost entries up to `after`
   */
  constructor(
    private readonly log: ReplicationLog,
    private readonly isDown: (id: number) => boolean,
    private readonly onDiverged: (id: number, after: number) => void = () => {},
  ) {}

  /** Server ids of the followers that are reachable and follow the log. */
  get live(): number[] {
    const now = performance.now();
    const isLive = (one: Follower) => one.waiting > 0 || now - one.heard < SILENCE_MILLISECONDS;
    return [...this.followers].filter(([id, one]) => isLive(one) && !this.isDown(id)).map(([id]) => id);
  }

  /**
   * Records the acknowledgements of a follower's request. They count only if its cursor is valid, because sequence numbers of
   * another history mean other entries.
   */
  heard(id: number, { incarnation: epoch, from, after, without, fetching }: Omit<Question, 'records'>): Heard {
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
      membership: before?.membership ?? {},
    };
    if ([...follower.fetching].some(([entry, bytes]) => bytes > (before?.fetching.get(entry) ?? 0)))
      follower.fetched = now;
    this.followers.set(id, follower);
    this.tellWaiters(before, follower);
    if (cursor === 'diverged') this.onDiverged(id, after);
    const answered = () => {
      const current = this.followers.get(id);
      if (current?.membership !== follower.membership) return;
      current.waiting--;
      current.heard = performance.now();
    };
    return { cursor, answered };
  }

  /** Number of followers that hold an entry of the log. */
  countFor(entry: number): number {
    let count = 0;
    for (const { from, after, without } of this.followers.values()) {
      if (from < entry && entry <= after && !without.has(entry)) count++;
    }
    return count;
  }

  /** Number of entries of the log that a follower does not hold. */
  backlogOf(id: number): number {
    const { after = 0, without } = this.followers.get(id) ?? {};
    return this.log.published - after + (without?.size ?? 0);
  }

  /** Number of entries that fewer than `copies` nodes hold, including this one, and that no upload or deletion waits for. */
  underReplicated(copies: number): number {
    if (copies === 1) return 0;
    const held = [...this.followers.values()].sort((one, other) => other.after - one.after);
    // Up to `after`, enough followers hold everything except their `without`.
    const { after = 0 } = held[copies - 2] ?? {};
    const gaps = new Set(held.flatMap(({ without }) => [...without].filter((entry) => entry <= after)));
    const missing = [...gaps].filter((entry) => this.countFor(entry) < copies - 1).length;
    const all = this.log.published - Math.max(after, this.log.startsAfter) + missing;
    return all - this.underWay(copies);
  }

  /** Number of those entries that uploads and deletions wait for. */
  private underWay(copies: number): number {
    const awaited = new Set([...this.waiters].flatMap(({ sequences }) => [...sequences]));
    return [...awaited].filter((entry) => this.countFor(entry) < copies - 1).length;
  }

  /** The sequence number up to which all of these followers hold all entries. */
  passedByAll(ids: readonly number[]): number {
    const passed = ids.map((id) => {
      const { after = 0, without = new Set<number>() } = this.followers.get(id) ?? {};
      return Math.min(after, ...[...without].map((entry) => entry - 1));
    });
    return Math.min(this.log.published, ...passed);
  }

  /**
   * Resolves with true as soon as `followers` followers hold all of these entries; with false after `patience` milliseconds
   * without progress.
   */
  waitFor(sequences: readonly number[], followers: number, patience: number): Promise<boolean> {
    if (this.areAcknowledged(sequences, followers)) return Promise.resolve(true);
    return new Promise((resolve) => {
      const settle = (enough: boolean) => {
        this.remove(waiter);
        resolve(enough);
      };
      const waiter: Waiter = { sequences, followers, patience, progress: performance.now(), settle };
      this.waiters.add(waiter);
      for (const entry of sequences) this.awaited.set(entry, (this.awaited.get(entry) ?? new Set()).add(waiter));
      // One timer for all waiters, which runs while there are any.
      this.timer ??= setInterval(() => this.lookAtWaiters(), LOOK_MILLISECONDS);
    });
  }

  /**
   * Forgets the acknowledgements of a follower that is not a member of the group any more: what it holds does not count as a copy. No
   * wait needs more followers from now on than the group has.
   * @param others number of the other followers that the group has
   */
  forget(id: number, others: number): void {
    this.followers.delete(id);
    for (const waiter of [...this.waiters]) {
      waiter.followers = Math.min(waiter.followers, others);
      if (this.areAcknowledged(waiter.sequences, waiter.followers)) waiter.settle(true);
    }
  }

  /** Ends all waits; they resolve with false. */
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
   * Time of the last progress for a waiter: an acknowledgement of one of its entries, an advance of a follower that is still
   * before the last of them, or bytes received by a follower that does not hold all of them.
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

  private remove(waiter: Waiter): void {
    this.waiters.delete(waiter);
    for (const entry of waiter.sequences) {
      const others = this.awaited.get(entry);
      others?.delete(waiter);
      if (others?.size === 0) this.awaited.delete(entry);
    }
  }

  /** Settles waiters. Checks only those for whose entries the request has changed something: there may be many waiters. */
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

  /** Entries that a follower holds since this request; may include entries that no waiter waits for. */
  private newlyAcknowledged(before: Follower | undefined, { from, after, without }: Follower): number[] {
    const known = { from: 0, after: 0, without: new Set<number>(), ...before };
    // With a smaller `from`, it may acknowledge earlier entries, too.
    const first = from < known.from ? from : known.after;
    const came = [...known.without].filter((entry) => !without.has(entry));
    if (after - first > this.awaited.size) {
      for (const entry of this.awaited.keys()) if (first < entry && entry <= after) came.push(entry);
    } else for (let entry = first + 1; entry <= after; entry++) came.push(entry);
    return came;
  }
}
