import { setTimeout as sleep } from 'node:timers/promises';
import type { ReplicationLog } from '../index/replication-log.js';
import type { Acknowledgements } from './acknowledgements.js';
import type { Removal } from './removal.js';

/** How often entries that all peers hold are deleted, and how many at a time. */
const TRUNCATE_MILLISECONDS = 1000;
const TRUNCATE_ENTRIES = 5000;
/** Maximum number of entries in the log, regardless of the cursors. A follower that is further behind needs anti-entropy. */
const LONGEST_LOG = 2_000_000;

export interface LogTruncationParts {
  log: ReplicationLog;
  acknowledgements: Acknowledgements;
  removal: Removal;
  /** The server ids of the followers, which come and go. */
  followers(): readonly number[];
  warn(message: string, error: unknown): void;
}

/**
 * Every second truncates the log, and applies the deferred deletions whose store path is available again. Resolves after
 * `signal` is aborted.
 */
export async function keepLogTruncated(parts: LogTruncationParts, signal: AbortSignal): Promise<void> {
  const { log, acknowledgements, removal, followers, warn } = parts;
  while (!signal.aborted) {
    await sleep(TRUNCATE_MILLISECONDS, undefined, { signal }).catch(() => {});
    const passed = Math.max(acknowledgements.passedByAll(followers()), log.published - LONGEST_LOG);
    if (signal.aborted) return;
    try {
      await removal.removeDeferred();
      log.truncate(Math.min(passed, log.startsAfter + TRUNCATE_ENTRIES));
    } catch (error) {
      const what =
        'deferred deletions could not be applied, or the replication log could not be truncated; this is retried';
      warn(what, error);
    }
  }
}
