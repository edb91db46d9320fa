import { setTimeout as sleep } from 'node:timers/promises';
import type { Alarms } from '../alarm.js';
import type { Peer } from '../cluster/cluster.js';
import { RECORDS } from '../cluster/hello.js';
import type { DeferredDeletion } from '../index/deferred.js';
import type { Index } from '../index/index.js';
import type { Cursor } from '../index/replication-log.js';
import type { Copies, Copy, FailedCopy } from '../store/copies.js';
import { StoreError } from '../store/errors.js';
import { decodeRecorded, keyOf } from '../store/names.js';
import type { FileRecord } from '../store/records.js';
import type { AntiEntropy } from './anti-entropy.js';
import type { Fetcher } from './fetcher.js';
import { type DecodedLog, decodeLog, type LogPage, PAGE_LIMIT } from './page.js';
import { differenceOf, isSmall, isWanted, toRecord, unreadableSubject } from './peer-file.js';
import type { Removal } from './removal.js';

/** How long a request waits at the peer for new entries; shorter while files are fetched, to report the progress. */
const WAIT_MILLISECONDS = 20_000;
const FETCHING_MILLISECONDS = 1000;
/** If more entries of a log than this are missing, the follower acknowledges none. */
const WITHOUT_LIMIT = 50_000;
const LONGEST_PAUSE_MILLISECONDS = 5000;
/** A page with an entry that cannot be read is requested this many times, because it may have been corrupted on its way. */
const UNREADABLE_TRIES = 5;

/** A log entry of a deletion. */
type Deletion = Extract<LogPage['entries'][number], { removed: string }>;

/** The modules that all followers of a node share. */
export interface FollowerParts {
  group: string;
  index: Index;
  copies: Copies;
  fetcher: Fetcher;
  antiEntropy: AntiEntropy;
  removal: Removal;
  alarms: Pick<Alarms, 'raise' | 'clear'>;
  info(context: object, message: string): void;
}

/**
 * Follows the replication log of one peer: requests the entries after its cursor, makes them durable on this node, and
 * acknowledges them with the next request. If there is a gap, runs a round of anti-entropy instead.
 */
export class Follower {
  private cursor: Cursor | undefined;
  private readonly ending = new AbortController();
  private question = new AbortController();
  private running: Promise<void> | undefined;
  /** Whether this node has reached the end of the peer's log at least once since its start. */
  caughtUp = false;
  /** Whether a round of anti-entropy with the peer has ended since the start; the peer's log lacks deletions of other nodes. */
  hasCompared = false;
  /**
   * Whether this node is not ready before it has had everything of the peer. False if the peer has joined the group since the start:
   * this node was ready without it.
   */
  isAwaited = true;
  /** Whether a round of anti-entropy is due as soon as the peer is up. */
  isRoundDue = false;
  /** The backlog: number of entries, and when the first of them was recorded, in seconds since 1970. */
  private behind: { entries: number; since: number | undefined } = { entries: 0, since: undefined };
  /** Human-readable reason why the peer cannot be followed now; undefined if it can. */
  unavailable: string | undefined;
  /** The first entry that could not be read in the last page, and how often. */
  private unread = { sequence: 0, tries: 0 };
  /** The end of the peer's log when its deletions were last taken because the disk is full. */
  private deletedUpTo = 0;

  constructor(
    readonly peer: Peer,
    private readonly parts: FollowerParts,
  ) {
    this.cursor = parts.index.replicationLog.cursor(this.id);
  }

  /** The subject of the alarm that the peer is up and cannot be followed. */
  private get subject(): string {
    return `log of node ${this.id}`;
  }

  get id(): number {
    return this.peer.id;
  }

  /** Number of entries of the peer's log that are not on this node, and the age of the first one in seconds. */
  get backlog(): { peer: number; entries: number; seconds: number } {
    const { entries, since } = this.behind;
    const seconds = since === undefined ? 0 : Math.max(0, Date.now() / 1000 - since);
    return { peer: this.id, entries: entries + this.parts.index.missing.sequencesOf(this.id).length, seconds };
  }

  start(): void {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.ending.abort();
    this.question.abort();
    await this.running;
  }

  /** Clears the alarms about the peer, which is not a member of the group any more. To be called after `stop`. */
  clearAlarms(): void {
    for (const subject of [this.subject, unreadableSubject(this.id)]) this.parts.alarms.clear('replication', subject);
  }

  /** Whether the peer has gone for good, or this node is stopping. */
  get isStopped(): boolean {
    return this.ending.signal.aborted;
  }

  /** Aborts the current request, so that the next one acknowledges a file that was missing, or goes to another address. */
  tell(): void {
    this.question.abort();
  }

  private async run(): Promise<void> {
    let pause = 0;
    while (!this.ending.signal.aborted) {
      try {
        // A peer is up only if its settings match this node's.
        if (!this.peer.isUp) throw new Error(this.peer.reason);
        await this.step();
        this.parts.alarms.clear('replication', this.subject);
        this.unavailable = undefined;
        pause = 0;
      } catch (error) {
        if (this.ending.signal.aborted) return;
        if (this.question.signal.aborted) continue; // aborted by `tell`
        const { message } = error as Error;
        if (this.unavailable === undefined && this.peer.isUp)
          this.parts.info({ reason: message }, 'a peer cannot be followed now');
        this.unavailable = message;
        if (this.peer.isUp && pause === LONGEST_PAUSE_MILLISECONDS) {
          const said = `node ${this.id} is up and cannot be followed, so this node is missing what is new there`;
          this.parts.alarms.raise('replication', this.subject, `${said}: ${message}`);
        }
        // A short pause while the peer is down, to follow it soon after it is up.
        pause = this.peer.isUp ? Math.min(LONGEST_PAUSE_MILLISECONDS, Math.max(100, pause * 2)) : 200;
        await sleep(pause, undefined, { signal: this.ending.signal }).catch(() => {});
      } finally {
        if (this.question.signal.aborted) this.question = new AbortController();
      }
    }
  }

  private async step(): Promise<void> {
    const cursor = this.cursor;
    const page = await this.ask(cursor);
    const { log, contents, unreadable } = decodeLog(page);
    if (!cursor || log.gap) {
      await this.compare(log);
      return;
    }
    if (log.upTo > cursor.sequence) {
      // The backlog is set before the entries are taken, because that may fail.
      this.behind = { entries: log.end - cursor.sequence, since: this.behind.since ?? Math.floor(Date.now() / 1000) };
      await this.takeOrDelete(log, { contents, unreadable });
    }
    this.behind = { entries: log.end - log.upTo, since: log.nextTime ?? undefined };
    if (log.upTo >= log.end) this.caughtUp = true;
  }

  private ask(cursor: Cursor | undefined): Promise<Buffer> {
    const { index, fetcher } = this.parts;
    const fetching = fetcher.underWay(this.id);
    const wait = fetching.length > 0 ? FETCHING_MILLISECONDS : WAIT_MILLISECONDS;
    const { epoch: incarnation = '', sequence: after = 0, from = 0 } = cursor ?? {};
    const without = [...index.missing.sequencesOf(this.id), ...index.deferred.sequencesOf(this.id)];
    const isTooLong = without.length > WITHOUT_LIMIT;
    const held = isTooLong ? { from: after, without: [] } : { from, without };
    const body = Buffer.from(
      JSON.stringify({ incarnation, after, ...held, fetching, wait: this.caughtUp ? wait : 0, records: RECORDS }),
    );
    return this.peer.client.ask('/log', {
      ...{ method: 'POST', body, timeout: WAIT_MILLISECONDS + 10_000, limit: PAGE_LIMIT },
      signal: this.question.signal,
    });
  }

  /** Runs a round of anti-entropy because the cursor is missing or invalid, then sets the cursor to the end of the log. */
  private async compare({ incarnation: epoch, end }: LogPage): Promise<void> {
    const { index, antiEntropy, copies } = this.parts;
    const isComplete = await antiEntropy.run(this.peer, this.ending.signal);
    const cursor = { epoch, sequence: end, from: isComplete ? 0 : end };
    const alongside = () => {
      index.missing.forgetSequences(this.id);
      index.deferred.forgetSequences(this.id);
      index.replicationLog.moveCursor(this.id, cursor);
    };
    await copies.take({ copies: [], alongside });
    this.cursor = cursor;
  }

  /**
   * Takes a page. If the disk is full, takes the deletions of the peer by anti-entropy instead, for which space is reserved
   * (see `Ballast`), and throws the error.
   */
  private async takeOrDelete(log: LogPage, decoded: Omit<DecodedLog, 'log'>): Promise<void> {
    try {
      await this.take(log, decoded);
    } catch (error) {
      if (error instanceof StoreError && error.code === 'full' && log.end !== this.deletedUpTo) {
        await this.parts.antiEntropy.takeDeletions(this.peer, this.ending.signal);
        this.deletedUpTo = log.end;
      }
      throw error;
    }
  }

  private async take(log: LogPage, { contents, unreadable }: Omit<DecodedLog, 'log'>): Promise<void> {
    const { group, index, copies, fetcher, removal } = this.parts;
    const sequences = new Map<FileRecord, number>();
    const wanted: Copy[] = [];
    const missing: FailedCopy[] = [];
    const removed: DeferredDeletion[] = [];
    for (const entry of log.entries) {
      let record: FileRecord;
      try {
        if ('removed' in entry) {
          removed.push(this.toDeletion(entry));
          continue;
        }
        record = toRecord(entry, group);
      } catch (error) {
        unreadable.set(entry.number, (error as Error).message);
        continue;
      }
      const content = contents.get(entry);
      // A small file without content is a hard link on the peer, whose content this node probably has.
      const reason = content ? differenceOf(record, content) : isSmall(record) ? undefined : 'not fetched yet';
      const copy = { ...record, content };
      sequences.set(copy, entry.number);
      // `Copies` checks before the rename whether the file exists or is deleted, which is rare.
      if (reason === undefined) wanted.push(copy);
      else if (isWanted(record, index)) missing.push({ copy, reason });
    }
    // An acknowledgement of the entries up to an unreadable one would include that one.
    const from = Math.max(this.cursor?.from ?? 0, this.leaveOut(unreadable));
    const deferred = await removal.remove(removed);
    const cursor = { epoch: log.incarnation, sequence: log.upTo, from };
    await copies.take({
      copies: wanted,
      alongside: (failed) => {
        for (const { copy, reason } of [...missing, ...failed]) {
          index.missing.add(copy, { peer: this.id, sequence: sequences.get(copy) ?? 0, reason });
        }
        for (const { id } of removed) index.missing.remove(keyOf(decodeRecorded(id).name));
        for (const deletion of deferred) index.deferred.add(deletion);
        index.replicationLog.moveCursor(this.id, cursor);
        if (missing.length + failed.length > 0) fetcher.wake();
      },
    });
    this.cursor = cursor;
  }

  /** Returns the last entry that cannot be read, or 0. Throws if it may be readable the next time. */
  private leaveOut(unreadable: ReadonlyMap<number, string>): number {
    const sequences = [...unreadable.keys()].sort((one, other) => one - other);
    const [first] = sequences;
    if (first === undefined) return 0;
    const reason = `entry ${first} of the log of node ${this.id} cannot be read: ${unreadable.get(first)}`;
    this.unread = { sequence: first, tries: this.unread.sequence === first ? this.unread.tries + 1 : 1 };
    if (this.unread.tries < UNREADABLE_TRIES) throw new Error(reason);
    this.parts.alarms.raise('replication', unreadableSubject(this.id), `${reason}; it is left out`);
    return sequences.at(-1) as number;
  }

  private toDeletion({ number: sequence, removed: id, foreign }: Deletion): DeferredDeletion {
    const { group, storePath } = decodeRecorded(id);
    if (group !== this.parts.group) throw new Error(`${id} is not a file of this group`);
    return { peer: this.id, sequence, id, foreign, storePath };
  }
}
