import type { Peer } from '../cluster/cluster.js';
import type { Index } from '../index/index.js';
import type { Copies, Copy, FailedCopy } from '../store/copies.js';
import type { FileRecord } from '../store/records.js';
import type { Fetcher } from './fetcher.js';
import { decodeFiles, PAGE_ENTRIES, PAGE_LIMIT } from './page.js';
import { differenceOf, toRecord } from './peer-file.js';
import type { RateLimit } from './rate-limit.js';

/** Number of pages that are stored while the next one is fetched. While one is synced, others can be written. */
const PAGES_AT_ONCE = 3;

/** Result of one round of anti-entropy with a peer. */
export interface RoundResult {
  directories: number;
  files: number;
  bytes: number;
  deletions: number;
  /** Files still to be fetched: large ones, and those received corrupt. */
  pending: number;
  /** Files whose names or records could not be read. */
  unreadable: number;
}

export interface RefillParts {
  group: string;
  index: Index;
  copies: Copies;
  fetcher: Fetcher;
  limit: RateLimit;
}

/** Fetches many small files of one peer, in pages. */
export class Refill {
  private readonly storing = new Set<Promise<void>>();
  private failure: unknown;

  constructor(
    private readonly peer: Peer,
    private readonly parts: RefillParts,
    private readonly found: RoundResult,
    private readonly signal: AbortSignal,
  ) {}

  /** Fetches files. The last pages may not be durable when it resolves, see `end`. Rejects if a page could not be stored. */
  async take(wanted: FileRecord[]): Promise<void> {
    let left = wanted;
    while (left.length > 0) {
      const asked = left.slice(0, PAGE_ENTRIES);
      const page = await this.fetchPage(asked);
      // The peer omits files that it does not have, and those after the end of a full page, which are requested again.
      const last = page.at(-1)?.name;
      const answered = last === undefined ? asked.length : asked.findIndex(({ name }) => name === last) + 1;
      if (answered === 0) throw new Error(`node ${this.peer.id} sent ${last}, which it was not asked for`);
      left = left.slice(page.length === asked.length ? asked.length : answered);
      while (this.storing.size >= PAGES_AT_ONCE) await Promise.race(this.storing);
      this.throwFailure();
      const storing = this.store(page).catch((error: unknown) => {
        this.failure ??= error;
      });
      this.storing.add(storing);
      void storing.then(() => this.storing.delete(storing));
    }
  }

  /** Resolves when all pages are durable. Rejects if one could not be stored. */
  async end(): Promise<void> {
    await Promise.all(this.storing);
    this.throwFailure();
  }

  private throwFailure(): void {
    if (this.failure !== undefined) throw this.failure;
  }

  private async fetchPage(files: FileRecord[]): Promise<Copy[]> {
    const { signal } = this;
    const body = Buffer.from(JSON.stringify({ keys: files.map(({ key }) => key.toString('hex')) }));
    const options = { method: 'POST', body, timeout: 60_000, limit: PAGE_LIMIT, signal } as const;
    const page = await this.peer.client.ask('/files', options);
    await this.parts.limit.take(page.length, signal);
    const { files: named, contents } = decodeFiles(page);
    return named.map((file) => ({
      ...toRecord(file, this.parts.group),
      content: contents.get(file) ?? Buffer.alloc(0),
    }));
  }

  private async store(files: Copy[]): Promise<void> {
    const { index, copies, fetcher } = this.parts;
    const good: Copy[] = [];
    const bad: FailedCopy[] = [];
    for (const copy of files) {
      const content = copy.content as Buffer;
      const reason = differenceOf(copy, content);
      if (reason === undefined) good.push(copy);
      else bad.push({ copy, reason });
      this.found.bytes += content.length;
    }
    this.found.files += good.length;
    await copies.take({
      copies: good,
      alongside: (failed) => {
        const missing = [...bad, ...failed];
        for (const { key } of good) index.missing.remove(key);
        for (const { copy, reason } of missing) index.missing.add(copy, { reason });
        this.found.pending += missing.length;
        if (missing.length > 0) fetcher.wake();
      },
    });
  }
}
