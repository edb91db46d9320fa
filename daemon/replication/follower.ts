import { setTimeout as sleep } from 'node:timers/promises';
import fileId from '../../file-id/file-id.js';
import type { Peer } from '../cluster/cluster.js';
import type { DeferredDeletion } from '../index/deferred.js';
import type { Index } from '../index/index.js';
import type { Cursor } from '../index/replication-log.js';
import type { Copies, Copy, FailedCopy } from '../store/copies.js';
import { StoreError } from '../store/errors.js';
import type { FileRecord } from '../store/records.js';
import type { AntiEntropy } from './anti-entropy.js';
import type { Fetcher } from './fetcher.js';
import { decodeLog, type LogPage, PAGE_LIMIT } from './page.js';
import { differenceOf, isSmall, toRecord } from './peer-file.js';
import type { Removal } from './removal.js';

/** How long a question waits at the peer for news; while something large is under way, which is told of, less. */
const WAIT_MILLISECONDS = 20_000;
const FETCHING_MILLISECONDS = 1000;
/** With more missing than this, of what a log has told, a follower does not acknowledge anything. */
const WITHOUT_LIMIT = 50_000;
const LONGEST_PAUSE_MILLISECONDS = 5000;

/** An entry of a log that says what was deleted. */
type Deletion = Extract<LogPage['entries'][number], { removed: string }>;

/** The modules that all followers of a node share. */
export interface FollowerParts {
  group: string;
  index: Index;
  copies: Copies;
  fetcher: Fetcher;
  antiEntropy: AntiEntropy;
  removal: Removal;
  info(context: object, message: string): void;
  warn(message: string, error: unknown): void;
}

/**
 * Follows the replication log of one peer: asks for what comes after its cursor, makes it durable here, and says with the
 * next question what it holds. Where the log does not reach, a round of anti-entropy takes its place.
 */
export class Follower {
  private cursor: Cursor | undefined;
  private readonly ending = new AbortController();
  private question = new AbortController();
  private running: Promise<void> | undefined;
  /** Whether this node has had everything of the peer at least once since its start. */
  caughtUp = false;
  /** Whether everything has been compared with the peer since the start; the log tells nothing of what others deleted. */
  hasCompared = false;
  /** Whether a round of anti-entropy is due as soon as the peer is up. */
  isRoundDue = false;
  /** How far behind it is: entries, and the second in which the first of those was made. */
  private behind: { entries: number; since: number | undefined } = { entries: 0, since: undefined };
  /** Why it does not follow now, for people. */
  unavailable: string | undefined;
  /** Whether it was said that this lasts, although the peer is up. */
  private isSaid = false;
  /** The end of the peer's log up to which its deletions were taken over while nothing else fits on the disk. */
  private deletedUpTo = 0;

  constructor(
    readonly peer: Peer,
    private readonly parts: FollowerParts,
  ) {
    this.cursor = parts.index.replicationLog.cursor(this.id);
  }

  get id(): number {
    return this.peer.id;
  }

  /** Entries of the peer's log that are not here, and how old the first of them is. */
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

  /** Something that was missing is here: the peer is told at once. */
  tell(): void {
    this.question.abort();
  }

  private async run(): Promise<void> {
    let pause = 0;
    while (!this.ending.signal.aborted) {
      try {
        // Not before it is known that its settings (still) go with this node's.
        if (!this.peer.isUp) throw new Error(this.peer.reason);
        await this.step();
        if (this.isSaid) this.parts.info({ peer: this.id }, 'a peer is followed again');
        this.isSaid = false;
        this.unavailable = undefined;
        pause = 0;
      } catch (error) {
        if (this.ending.signal.aborted) return;
        if (this.question.signal.aborted) continue; // to be asked anew, with better news
        const { message } = error as Error;
        if (this.unavailable === undefined && this.peer.isUp)
          this.parts.info({ reason: message }, 'a peer cannot be followed now');
        this.unavailable = message;
        if (this.peer.isUp && pause === LONGEST_PAUSE_MILLISECONDS && !this.isSaid) {
          this.isSaid = true;
          const { id } = this;
          this.parts.warn(`node ${id} is up and cannot be followed, so this node is missing what is new there`, error);
        }
        // A node that is just coming back is asked soon.
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
    const { log, contents } = decodeLog(page);
    if (!cursor || log.gap) {
      await this.compare(log);
      return;
    }
    if (log.upTo > cursor.sequence) {
      // What is behind is known before it is here, which it may never be.
      this.behind = { entries: log.end - cursor.sequence, since: this.behind.since ?? Math.floor(Date.now() / 1000) };
      await this.takeOrDelete(log, contents);
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
    const body = Buffer.from(JSON.stringify({ incarnation, after, ...held, fetching, wait: this.caughtUp ? wait : 0 }));
    return this.peer.client.ask('/log', {
      ...{ method: 'POST', body, timeout: WAIT_MILLISECONDS + 10_000, limit: PAGE_LIMIT },
      signal: this.question.signal,
    });
  }

  /** One side has lost its memory, or they have never met: what there is is compared, and then the log goes on from here. */
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

  /** Takes a page. Where that does not fit on the disk, deletions do (see `Ballast`), and are had from wherever they are in the log. */
  private async takeOrDelete(log: LogPage, contents: Map<LogPage['entries'][number], Buffer>): Promise<void> {
    try {
      await this.take(log, contents);
    } catch (error) {
      if (error instanceof StoreError && error.code === 'full' && log.end !== this.deletedUpTo) {
        await this.parts.antiEntropy.takeDeletions(this.peer, this.ending.signal);
        this.deletedUpTo = log.end;
      }
      throw error;
    }
  }

  private async take(log: LogPage, contents: Map<LogPage['entries'][number], Buffer>): Promise<void> {
    const { group, index, copies, fetcher, removal } = this.parts;
    const sequences = new Map<FileRecord, number>();
    const wanted: Copy[] = [];
    const missing: FailedCopy[] = [];
    const removed: DeferredDeletion[] = [];
    for (const entry of log.entries) {
      if ('removed' in entry) {
        removed.push(this.toDeletion(entry));
        continue;
      }
      const record = toRecord(entry, group);
      const content = contents.get(entry);
      // A small one that is not enclosed is a link there, and may be here.
      const reason = content ? differenceOf(record, content) : isSmall(record) ? undefined : 'not fetched yet';
      const copy = { ...record, content };
      sequences.set(copy, entry.number);
      // Whether it is here already, or deleted, is looked at when it would get its name; it hardly ever is.
      if (reason === undefined) wanted.push(copy);
      else if (!index.isDeleted(record.key) && !index.find(record.key)) missing.push({ copy, reason });
    }
    const deferred = await removal.remove(removed);
    const cursor = { epoch: log.incarnation, sequence: log.upTo, from: this.cursor?.from ?? 0 };
    await copies.take({
      copies: wanted,
      alongside: (failed) => {
        for (const { copy, reason } of [...missing, ...failed]) {
          index.missing.add(copy, { peer: this.id, sequence: sequences.get(copy) ?? 0, reason });
        }
        for (const { id } of removed) index.missing.remove(fileId.keyOf(fileId.decode(id).name));
        for (const deletion of deferred) index.deferred.add(deletion);
        index.replicationLog.moveCursor(this.id, cursor);
        if (missing.length + failed.length > 0) fetcher.wake();
      },
    });
    this.cursor = cursor;
  }

  private toDeletion({ number: sequence, removed: id, foreign }: Deletion): DeferredDeletion {
    const { group, storePath } = fileId.decode(id);
    if (group !== this.parts.group) throw new Error(`${id} is not a file of this group`);
    return { peer: this.id, sequence, id, foreign, storePath };
  }
}
