import { z } from 'zod';
import fileId from '../../file-id/file-id.js';
import type { Alarms } from '../alarm.js';
import type { Peer } from '../cluster/cluster.js';
import { RECORDS } from '../cluster/hello.js';
import type { DeferredDeletion } from '../index/deferred.js';
import { type DigestScope, differingParts } from '../index/digests.js';
import { DIGEST_VERSION } from '../index/part-digests.js';
import { toLocation } from '../store/change.js';
import { keyOf } from '../store/names.js';
import type { FileRecord, RemovedFile } from '../store/records.js';
import type { StorePath } from '../store/store-path.js';
import { filesIn } from '../store/walk.js';
import { counted } from '../words.js';
import { type NamedFile, namedSchema, PAGE_ENTRIES, PAGE_TOMBSTONES, reasonOf } from './page.js';
import { isSmall, isUnderstood, isWanted, named, toRecord, unreadableSubject } from './peer-file.js';
import { Refill, type RefillParts, type RoundResult } from './refill.js';

/** Number of directories whose file names one request asks for. */
const DIRECTORIES_AT_ONCE = 32;
const KEY_LENGTH = 20;

const namesSchema = z.object({ files: z.array(z.unknown()) });
/** Names that cannot be read are requested this many times, because they may have been corrupted on their way. */
const UNREADABLE_TRIES = 3;

interface Names {
  files: FileRecord[];
  unreadable: string[];
}

export interface AntiEntropyParts extends RefillParts {
  paths: readonly StorePath[];
  alarms: Pick<Alarms, 'raise' | 'clear'>;
  info(progress: object, message: string): void;
}

/**
 * Finds and fetches the files and tombstones that a peer has and this node does not: compares digests first, then names.
 * Takes the tombstones first, so that no deleted file is fetched. Each node does this with each of its peers.
 */
export class AntiEntropy {
  /** Serialises rounds, because two peers have the same files. */
  private turn: Promise<unknown> = Promise.resolve();
  /** Serialises batches of deletions. */
  private taking: Promise<unknown> = Promise.resolve();
  /** Progress of the current round, for `fidfs status`; undefined between rounds. */
  progress: { peer: number; directories: number; of: number; files: number } | undefined;

  constructor(private readonly parts: AntiEntropyParts) {}

  /**
   * Runs one round with a peer. Resolves with whether this node now holds everything; false if large files are still to be
   * fetched or deletions are deferred. Rejects if the round was not completed, or with the reason of `signal`.
   */
  run(peer: Peer, signal: AbortSignal): Promise<boolean> {
    const turn = this.turn.then(async () => {
      signal.throwIfAborted();
      try {
        return await this.compare(peer, signal);
      } finally {
        this.progress = undefined;
      }
    });
    this.turn = turn.catch(() => {});
    return turn;
  }

  /** Takes only the deletions of a peer. Resolves with their number. Rejects if not all could be taken. */
  async takeDeletions(peer: Peer, signal: AbortSignal): Promise<number> {
    const { tombstones } = await this.differences(peer, 'tombstones', signal);
    return this.takeTombstones(peer, tombstones, signal);
  }

  private async compare(peer: Peer, signal: AbortSignal): Promise<boolean> {
    const { files, tombstones } = await this.differences(peer, 'all', signal);
    const found: RoundResult = { directories: 0, files: 0, bytes: 0, deletions: 0, pending: 0, unreadable: 0 };
    found.deletions = await this.takeTombstones(peer, tombstones, signal);
    await this.takeDirectories(peer, files, found, signal);
    if (found.files + found.deletions > 0)
      this.parts.info({ peer: peer.id, ...found }, 'anti-entropy took the files and deletions that only a peer had');
    if (found.unreadable === 0) this.parts.alarms.clear('replication', unreadableSubject(peer.id));
    return found.pending + found.unreadable === 0 && this.parts.index.deferred.isEmpty;
  }

  /** Parts whose digests differ from the peer's, or that only the peer has. */
  private async differences(peer: Peer, of: DigestScope, signal: AbortSignal) {
    const digests = Math.min(DIGEST_VERSION, peer.hello?.digests ?? 1);
    const ask = { query: { of, digests: String(digests) }, timeout: 300_000, limit: 2 ** 30, signal };
    const [mine, theirs] = await Promise.all([
      this.parts.index.digests({ scope: of, digests }),
      peer.client.ask('/inventory', ask),
    ]);
    const split = theirs.length >= 4 ? 4 + theirs.readUInt32BE() : theirs.length;
    if (split > theirs.length) throw new Error('the digests are cut off');
    return {
      files: differingParts(mine.files, theirs.subarray(4, split)),
      tombstones: differingParts(mine.tombstones, theirs.subarray(split)),
    };
  }

  private async takeTombstones(peer: Peer, parts: number[], signal: AbortSignal): Promise<number> {
    let taken = 0;
    for (const part of parts) {
      for await (const keys of this.tombstonesOf(peer, part, signal)) taken += await this.takeInTurn(keys, signal);
    }
    return taken;
  }

  /** Requests the keys of a part of a peer's tombstones, in pages of `PAGE_TOMBSTONES` keys. */
  private async *tombstonesOf(peer: Peer, part: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    let after: Buffer = Buffer.alloc(0);
    for (;;) {
      const query = { part: String(part), after: after.toString('hex') };
      const keys = await peer.client.ask('/tombstones', { query, timeout: 300_000, signal });
      yield keys;
      const last = keys.subarray(-KEY_LENGTH);
      // A node of an earlier version ignores `after` and sends all keys.
      if (keys.length !== PAGE_TOMBSTONES * KEY_LENGTH || last.compare(after) <= 0) return;
      after = last;
    }
  }

  /**
   * Takes deletions in serialised batches, so that a deletion that two peers have is applied only once. The batches are small,
   * because larger ones are hardly faster and delay other writes.
   */
  private async takeInTurn(keys: Buffer, signal: AbortSignal): Promise<number> {
    let taken = 0;
    for (let done = 0; done < keys.length; done += PAGE_ENTRIES * KEY_LENGTH) {
      const some = keys.subarray(done, done + PAGE_ENTRIES * KEY_LENGTH);
      const turn = this.taking.then(() => {
        signal.throwIfAborted();
        return this.takeKeys(some);
      });
      this.taking = turn.catch(() => {});
      taken += await turn;
    }
    return taken;
  }

  private async takeKeys(keys: Buffer): Promise<number> {
    const { group, index, copies, paths } = this.parts;
    const anyPath = paths.find(({ number }) => !copies.isUnavailable(number))?.number ?? 0;
    const removed: RemovedFile[] = [];
    const deferred: DeferredDeletion[] = [];
    for (let offset = 0; offset + KEY_LENGTH <= keys.length; offset += KEY_LENGTH) {
      const key = Buffer.from(keys.subarray(offset, offset + KEY_LENGTH));
      if (index.isDeleted(key)) continue;
      // Without a record only the key matters: the batch looks up the location if a record exists by then.
      const name = `${key.toString('base64url')}0000000`;
      const location = index.find(key) ?? index.missing.find(key) ?? { storePath: anyPath, directory: 0, name };
      if (copies.isUnavailable(location.storePath)) {
        const id = fileId.join(group, location.storePath, location.directory, location.name);
        deferred.push({ id, foreign: false, storePath: location.storePath, peer: 0, sequence: 0 });
      } else removed.push({ ...toLocation(location), key, foreign: false, accepted: false });
    }
    const defer = () => {
      for (const one of deferred) index.deferred.add(one);
    };
    if (deferred.length > 0) await copies.take({ copies: [], alongside: defer });
    if (removed.length > 0) await copies.take({ copies: [], removed });
    return removed.length;
  }

  /** Takes the files of directories, some directories at a time; requests the names of the next ones in the meantime. */
  private async takeDirectories(peer: Peer, places: number[], found: RoundResult, signal: AbortSignal): Promise<void> {
    const refill = new Refill(peer, this.parts, found, signal);
    const namesFrom = (first: number) => {
      const names = this.askNames(peer, places.slice(first, first + DIRECTORIES_AT_ONCE), signal);
      names.catch(() => {}); // awaited when its turn comes
      return names;
    };
    let next = namesFrom(0);
    try {
      for (let done = 0; done < places.length; done += DIRECTORIES_AT_ONCE) {
        this.progress = { peer: peer.id, directories: done, of: places.length, files: found.files };
        const { files, unreadable } = await next;
        this.leaveOut(peer, unreadable, found);
        next = namesFrom(done + DIRECTORIES_AT_ONCE);
        found.directories += Math.min(DIRECTORIES_AT_ONCE, places.length - done);
        await this.takeFiles(files, refill, found);
      }
    } finally {
      await refill.end();
    }
  }

  /** Requests the names of directories, and reads each by itself. `unreadable` has the reasons of those that cannot be read. */
  private async askNames(peer: Peer, places: number[], signal: AbortSignal): Promise<Names> {
    if (places.length === 0) return { files: [], unreadable: [] };
    const body = Buffer.from(JSON.stringify({ places, records: RECORDS }));
    for (let tries = 1; ; tries++) {
      const told = await peer.client.askJson('/names', { method: 'POST', body, timeout: 60_000, signal });
      const names: Names = { files: [], unreadable: [] };
      for (const file of namesSchema.parse(told).files) {
        const { data, error } = namedSchema.safeParse(file);
        try {
          if (data) names.files.push(toRecord(data, this.parts.group));
          else names.unreadable.push(reasonOf(error));
        } catch (failure) {
          names.unreadable.push((failure as Error).message);
        }
      }
      if (names.unreadable.length === 0 || tries === UNREADABLE_TRIES) return names;
    }
  }

  private leaveOut({ id }: Peer, unreadable: readonly string[], found: RoundResult): void {
    if (unreadable.length === 0) return;
    found.unreadable += unreadable.length;
    const reason = `${counted(found.unreadable, 'file')} of node ${id} cannot be read and ${found.unreadable === 1 ? 'is' : 'are'} left out`;
    this.parts.alarms.raise('replication', unreadableSubject(id), `${reason}: ${unreadable[0]}`);
  }

  private async takeFiles(files: FileRecord[], refill: Refill, found: RoundResult): Promise<void> {
    const { index, copies, fetcher } = this.parts;
    const missing = files.filter((file) => isWanted(file, index));
    const large = missing.filter((file) => !isSmall(file));
    if (large.length > 0) {
      await copies.take({ copies: [], alongside: () => large.forEach((file) => void index.missing.add(file)) });
      fetcher.wake();
    }
    found.files += large.length;
    found.pending += large.length;
    await refill.take(missing.filter(isSmall));
  }
}

/**
 * Files of this node in some directories (store path << 16 | directory), as the response of `/names`.
 * @param records the version of the records that the peer understands
 */
export function namesIn(
  { places, records }: { places: number[]; records: number },
  parts: Pick<AntiEntropyParts, 'group' | 'index' | 'paths'>,
): { files: NamedFile[] } {
  const files: NamedFile[] = [];
  for (const place of places) {
    const path = parts.paths[place >>> 16];
    if (!path?.isOpen) continue;
    for (const file of filesIn(path, place & 0xffff, new Set())) {
      const record = parts.index.find(keyOf(file.name));
      if (record?.name === file.name && isUnderstood(file.name, records))
        files.push(named({ ...record, ...toLocation(file) }, parts.group));
    }
  }
  return { files };
}
