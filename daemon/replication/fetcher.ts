import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, Peer } from '../cluster/cluster.js';
import type { Settings } from '../config/settings.js';
import type { Index } from '../index/index.js';
import type { MissingFile } from '../index/missing.js';
import type { Copies, Copy } from '../store/copies.js';
import { StoreError } from '../store/errors.js';
import { temporaryFile } from '../store/layout.js';
import { decodeName, isMetadata } from '../store/names.js';
import { supersedes } from '../store/records.js';
import { isDeletedFile } from '../store/recover-file.js';
import { Reservation } from '../store/reservation.js';
import type { StorePath } from '../store/store-path.js';
import { Downloads, NotToBeHad, SILENCE_MILLISECONDS, type UnderWay } from './downloads.js';
import type { NoRoom } from './no-room.js';
import { decodeFiles, PAGE_LIMIT } from './page.js';
import { differenceOf, toRecord } from './peer-file.js';
import type { RateLimit } from './rate-limit.js';

/** Number of files that are fetched at the same time. */
const AT_ONCE = 4;
/** How often the index is checked for files that are due. */
const LOOK_MILLISECONDS = 500;

export interface FetcherParts {
  settings: Pick<Settings, 'group' | 'serverId' | 'peerSecret'>;
  cluster: Cluster;
  index: Index;
  paths: readonly StorePath[];
  copies: Copies;
  /** Limits repair, that is, files which no upload waits for. */
  limit: RateLimit;
  /** The files that do not fit. */
  noRoom: NoRoom;
  /** Called when a file is durable on this node. */
  onFetched(file: MissingFile): void;
  /** Called after each failed try. */
  onFailed(file: MissingFile, reason: string): void;
  /** Called when a file is set aside after too many tries. */
  onSetAside(file: MissingFile, reason: string): void;
  warn(message: string, error: unknown): void;
}

/**
 * Fetches missing files, each with a request of its own: large files from a log, and files that failed before. Asks the node
 * whose log contains the file, then the others of the group. Resumes an interrupted download.
 */
export class Fetcher {
  private readonly active = new Map<string, UnderWay & { done: Promise<void> }>();
  private readonly ending = new AbortController();
  private awake = new AbortController();
  private running: Promise<void> | undefined;
  /** Whether the last access to the index failed, which was logged. */
  private isBlind = false;
  private readonly downloads: Downloads;

  constructor(private readonly parts: FetcherParts) {
    this.downloads = new Downloads(parts, this.ending.signal);
  }

  start(): void {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.ending.abort();
    this.awake.abort();
    await this.running;
    await Promise.all([...this.active.values()].map(({ done }) => done));
  }

  /** Checks the index for files that are due, without waiting for the next interval. */
  wake(): void {
    this.awake.abort();
  }

  /** Files of a peer's log that are being fetched: sequence number, and bytes received. */
  underWay(peer: number): [number: number, bytes: number][] {
    return [...this.active.values()]
      .filter(({ file }) => file.peer === peer)
      .map(({ file, bytes }) => [file.sequence, bytes]);
  }

  private async run(): Promise<void> {
    while (!this.ending.signal.aborted) {
      this.parts.noRoom.check();
      for (const file of this.due()) {
        const key = keyOf(file);
        const underWay = { file, bytes: 0, done: Promise.resolve() };
        this.active.set(key, underWay);
        underWay.done = this.fetch(underWay).finally(() => {
          this.active.delete(key);
          this.wake();
        });
      }
      await sleep(LOOK_MILLISECONDS, undefined, { signal: this.awake.signal }).catch(() => {});
      if (this.awake.signal.aborted) this.awake = new AbortController();
    }
  }

  /** Files to fetch now; empty if the index cannot be read, which is retried. */
  private due(): MissingFile[] {
    // A second file with the same content becomes a hard link to the first, so it waits for that without occupying a slot.
    const contents = new Set([...this.active.values()].map(({ file }) => contentOf(file)));
    // A later version of a file that is being fetched waits for the end of that.
    const isWanted = (file: MissingFile) =>
      !this.active.has(keyOf(file)) && contents.size < contents.add(contentOf(file)).size;
    const free = AT_ONCE - this.active.size;
    if (free === 0) return [];
    try {
      const due = this.parts.index.missing.due(free, isWanted);
      this.isBlind = false;
      return due;
    } catch (error) {
      if (!this.isBlind) this.parts.warn('the index does not say what is missing; it is asked again', error);
      this.isBlind = true;
      return [];
    }
  }

  private async fetch(underWay: UnderWay): Promise<void> {
    const { file } = underWay;
    const { index, noRoom, onFetched, onFailed, onSetAside } = this.parts;
    try {
      if (this.isHere(file)) this.removeTemporary(file);
      else await this.obtain(underWay);
      noRoom.over(file);
      // A log may have added its sequence number since; `onFetched` needs it to acknowledge the entry.
      const told = index.missing.find(file.key) ?? file;
      const recorded = index.find(file.key);
      // Or a later version was announced while this one was fetched: that is missing still.
      if (recorded && supersedes(told, recorded)) return;
      index.missing.remove(file.key);
      onFetched(told);
    } catch (error) {
      // A later version may come without being fetched.
      if (file.version) this.removeTemporary(file);
      if (this.ending.signal.aborted) return;
      const reason = (error as Error).message;
      onFailed(file, reason);
      const pause = isNoSpace(error) ? noRoom.refused(file, reason) : undefined;
      if (pause === undefined) noRoom.over(file);
      try {
        if (!(error instanceof NotToBeHad)) index.missing.postponed(file, reason, pause);
        else if (index.missing.failed(file, reason)) onSetAside(file, reason);
      } catch (unwritten) {
        // For example because the disk is full. The file stays due.
        this.parts.warn('the result of a try to fetch a missing file could not be recorded', unwritten);
      }
    }
  }

  private isHere(file: MissingFile): boolean {
    const { key, storePath, directory, name } = file;
    const { index, paths } = this.parts;
    if (isDeletedFile(name, index)) return true; // nothing to fetch
    const path = paths[storePath];
    const record = index.find(key);
    const isRecorded = record !== undefined && !supersedes(file, record);
    return isRecorded && path?.isOpen === true && path.sizeOf(directory, name) !== undefined;
  }

  /** Removes what was downloaded of a file that is not to be fetched any more. Does not throw: the next start does it, too. */
  private removeTemporary({ name, storePath }: MissingFile): void {
    const path = this.parts.paths[storePath];
    try {
      if (path?.isOpen) rmSync(temporaryOf(path, name), { force: true });
    } catch (error) {
      this.parts.warn('a partial download could not be removed; the next start does it', error);
    }
  }

  /**
   * Stores the file, from a node that has it or as a hard link to a local one. Rejects with the reasons of all nodes, or with a
   * StoreError (full) if it does not fit above the reserve of its store path.
   */
  private async obtain(underWay: UnderWay): Promise<void> {
    const { file } = underWay;
    const { copies, paths } = this.parts;
    const path = paths[file.storePath];
    if (!path?.isOpen) throw new Error(`store path ${file.storePath} is not in use here`);
    // A file that changes must not share its bytes.
    const linked = file.version ? undefined : await copies.linkTemporary(file);
    const temporary = linked ?? temporaryOf(path, file.name);
    const room = new Reservation(path, isMetadata(file.name) ? file.size : 0);
    try {
      if (isMetadata(file.name)) await this.askEach(file, (peer) => this.takeMetadata(peer, file));
      else {
        if (!linked) await this.askEach(file, (peer) => this.downloads.from(peer, underWay, { temporary, room }));
        await this.take({ ...file, content: { temporary, linked: linked !== undefined } });
      }
    } finally {
      room.release();
    }
  }

  /** Stores a copy. Rejects if it cannot be made. */
  private async take(copy: Copy): Promise<void> {
    let failure: string | undefined;
    await this.parts.copies.take({
      copies: [copy],
      alongside: ([failed]) => {
        failure = failed?.reason;
      },
    });
    if (failure !== undefined) throw new Error(failure);
  }

  /** Asks the peers in turn until one has given the file. Rejects with the reasons of all. */
  private async askEach(file: MissingFile, ask: (peer: Peer) => Promise<void>): Promise<void> {
    const reasons: string[] = [];
    let hasAnswer = false;
    for (const peer of this.candidates(file)) {
      try {
        await ask(peer);
        return;
      } catch (error) {
        // The file of another peer does not fit either.
        if (this.ending.signal.aborted || isNoSpace(error)) throw error;
        reasons.push(`node ${peer.id}: ${(error as Error).message}`);
        hasAnswer ||= error instanceof NotToBeHad;
      }
    }
    const reason = reasons.join('; ') || 'there is no other node to have it';
    throw hasAnswer ? new NotToBeHad(reason) : new Error(reason);
  }

  /** Takes the newest metadata that a peer has: its nginx sends none. */
  private async takeMetadata(peer: Peer, file: MissingFile): Promise<void> {
    const body = Buffer.from(JSON.stringify({ keys: [file.key.toString('hex')] }));
    const limit = PAGE_LIMIT;
    const options = { method: 'POST', body, limit, timeout: SILENCE_MILLISECONDS, signal: this.ending.signal } as const;
    const { files, contents } = decodeFiles(await peer.client.ask('/files', options));
    const [told] = files;
    const content = told && contents.get(told);
    if (!content) throw new NotToBeHad('does not have it');
    const copy = { ...toRecord(told, this.parts.settings.group), content };
    const difference = differenceOf(copy, content);
    if (difference !== undefined) throw new NotToBeHad(`sent ${difference}`);
    if (supersedes(file, copy)) throw new NotToBeHad('has an earlier version');
    await this.take(copy);
  }

  /** Peers in the order to ask: reachable ones first; among them the one whose log contains the file, then its source. */
  private candidates({ peer, name }: MissingFile): Peer[] {
    const { source } = decodeName(name);
    const rank = ({ id, reachable }: Peer) =>
      (reachable ? 0 : 4) + (id === peer ? 0 : 'serverId' in source && id === source.serverId ? 1 : 2);
    const peers = this.parts.cluster.group.filter(({ state }) => state !== 'wrong');
    return peers.sort((one, other) => rank(one) - rank(other));
  }
}

function isNoSpace(error: unknown): boolean {
  return error instanceof StoreError && error.code === 'full';
}

function keyOf({ key }: MissingFile): string {
  return key.toString('base64url');
}

function temporaryOf({ root }: StorePath, name: string): string {
  return temporaryFile(root, `fetch-${name}`);
}

function contentOf({ sha256 }: MissingFile): string {
  return sha256.toString('latin1');
}
