import { setTimeout as sleep } from 'node:timers/promises';
import type { Index } from '../index/index.js';
import { type AdoptedFile, Adopter } from '../store/adopter.js';
import { FileReaders } from '../store/file-readers.js';
import { countOf, type ForeignFile, type ForeignSearch, foreignIn, PackedNames } from '../store/foreign.js';
import { storePathLabel } from '../store/layout.js';
import { keyOf } from '../store/names.js';
import type { Store } from '../store/store.js';
import type { StorePath } from '../store/store-path.js';
import { directoriesOf } from '../store/walk.js';
import type { RateLimit } from './rate-limit.js';

/** Threads that read files. */
const READERS = 2;
/** Maximum number of files that are located and taken together. */
const BATCH_FILES = 256;
/** Batches that are read or recorded at the same time. */
const BATCHES = 2 * READERS;
/** Pause of the count before each directory. */
const COUNT_PAUSE_MILLISECONDS = 5;
/** Files and slots that are named in a report; the others are counted. */
const NAMED = 1000;

export interface AdoptionParts {
  group: string;
  /** The server ids of this group, whose files are not foreign. */
  ids: ReadonlySet<number>;
  store: Store;
  index: Index;
  limit: RateLimit;
  warn(message: string, error: unknown): void;
}

/** What an adoption has done so far. */
export interface AdoptionReport {
  /** Whether nothing was changed. */
  dryRun: boolean;
  /** Files that got a record; those packed, those that were symbolic links, and metadata files are among them. */
  files: number;
  bytes: number;
  packed: number;
  symbolic: number;
  metadata: number;
  /** Files that were replaced by a hard link to a file with the same content. */
  deduplicated: number;
  /** Bytes of the copies that packed files and symbolic links need or got, for each store path with any (`M00`). */
  copies: Record<string, number>;
  /** Files that are probably being written; the next adoption takes them. */
  busy: number;
  /** Number of files that were left as they are, and the reasons for the first of them. */
  left: number;
  problems: { id: string; reason: string }[];
  /** Number of slots in trunk files whose names are not known, and the first of them. */
  unnamed: number;
  slots: string[];
  /** Directories searched, and all directories. */
  directories: number;
  of: number;
}

/** An order of a client. */
export interface AdoptionOrder {
  dryRun: boolean;
  /** Paths of files on this node with names of packed files. */
  names: readonly string[];
}

/**
 * Takes the files that FastDFS stored on this node into the index, so that they are copied, scrubbed, repaired and deduplicated as
 * all others. A file that has a record is done, so that an adoption that was broken off is continued by the next.
 */
export class Adoption {
  private readonly ending = new AbortController();
  private running: Promise<void> = Promise.resolve();
  private counting: Promise<void> = Promise.resolve();
  /** The current run; undefined between runs. */
  progress: AdoptionReport | undefined;
  /** The last complete run since the start. */
  last: AdoptionReport | undefined;
  /** Human-readable reason why the last run was not completed; undefined if it was. */
  failure: string | undefined;
  /** The number of files without a record when they were counted, and of those deleted until then; undefined before. */
  private counted: { files: number; deleted: number } | undefined;

  constructor(private readonly parts: AdoptionParts) {}

  /** Counts the files without a record, in the background. */
  start(): void {
    this.counting = this.count().catch((error) => this.fail('the files of FastDFS could not be counted', error));
  }

  async stop(): Promise<void> {
    this.ending.abort();
    await Promise.all([this.running, this.counting]);
  }

  /** Begins a run. Returns false if one is under way. */
  begin(order: AdoptionOrder): boolean {
    if (this.progress) return false;
    this.last = undefined;
    this.failure = undefined;
    const none = { files: 0, bytes: 0, packed: 0, symbolic: 0, metadata: 0, deduplicated: 0, busy: 0, left: 0 };
    const progress = {
      ...none,
      dryRun: order.dryRun,
      copies: {},
      problems: [],
      unnamed: 0,
      slots: [],
      directories: 0,
      of: 0,
    };
    this.progress = progress;
    this.running = this.run(order, progress)
      .then(() => {
        this.last = progress;
      })
      .catch((error) => {
        this.failure = (error as Error).message;
        this.fail('the adoption was broken off; the next continues it', error);
      })
      .finally(() => {
        this.progress = undefined;
      });
    return true;
  }

  /** Number of files of FastDFS without a record; undefined before they have been counted. */
  get foreign(): number | undefined {
    if (this.counted === undefined) return undefined;
    const { files, deleted } = this.counted;
    const done = this.progress && !this.progress.dryRun ? this.progress.files : 0;
    return Math.max(0, files - done - (this.parts.store.deletedForeign - deleted));
  }

  private set(files: number): void {
    this.counted = { files, deleted: this.parts.store.deletedForeign };
  }

  private fail(message: string, error: unknown): void {
    if (!this.ending.signal.aborted) this.parts.warn(message, error);
  }

  private *directories(): Generator<{ path: StorePath; directory: number }> {
    for (const path of this.parts.store.paths) {
      if (path.isReadable) for (const directory of directoriesOf(path)) yield { path, directory };
    }
  }

  private async read(names: PackedNames, lists: readonly string[]): Promise<PackedNames> {
    const readable = this.parts.store.paths.filter((path) => path.isReadable);
    await names.read(readable, lists, this.ending.signal);
    return names;
  }

  private search(names: ForeignSearch['names']): ForeignSearch {
    const { group, ids, index, store } = this.parts;
    return { group, ids, records: index, packed: store.packed, names };
  }

  private async count(): Promise<void> {
    // A slot counts as one file with and without its name. But of a deleted file only the name tells that it is deleted.
    const isDeleted = (name: string) => this.parts.index.isDeleted(keyOf(name));
    let deleted: Promise<PackedNames> | undefined;
    const search = this.search(() => {
      deleted ??= this.read(new PackedNames(isDeleted), []);
      return deleted;
    });
    let found = 0;
    for (const { path, directory } of this.directories()) {
      await sleep(COUNT_PAUSE_MILLISECONDS);
      this.ending.signal.throwIfAborted();
      const { files, unnamed } = await foreignIn(path, directory, search);
      found += countOf(files) + unnamed.length;
    }
    this.set(found);
  }

  private async run({ dryRun, names: lists }: AdoptionOrder, report: AdoptionReport): Promise<void> {
    const { store, limit } = this.parts;
    const { signal } = this.ending;
    const names = await this.read(new PackedNames(), lists);
    const search = this.search(() => Promise.resolve(names));
    const places = [...this.directories()];
    report.of = places.length;
    const readers = new FileReaders(READERS);
    const adopter = new Adopter(store, this.parts.group, this.parts.index);
    const underWay = new Set<Promise<void>>();
    let failure: unknown;
    const take = async (path: StorePath, files: readonly ForeignFile[]) => {
      const task = adopter.take(path, files, { readers, dryRun, signal, pace: (bytes) => limit.take(bytes, signal) });
      const counted = task
        .then(({ done, busy, left }) => {
          for (const file of done) this.add(report, path, file);
          report.busy += busy;
          for (const problem of left) {
            report.left++;
            if (report.problems.length < NAMED) report.problems.push(problem);
          }
        })
        .catch((error) => {
          failure ??= error;
        })
        .finally(() => underWay.delete(counted));
      underWay.add(counted);
      if (underWay.size >= BATCHES) await Promise.race(underWay);
      if (failure !== undefined) throw failure;
    };
    try {
      for (const { path, directory } of places) {
        signal.throwIfAborted();
        const { files, unnamed } = await foreignIn(path, directory, search);
        report.unnamed += unnamed.length;
        report.slots.push(...unnamed.slice(0, NAMED - report.slots.length));
        for (let first = 0; first < files.length; first += BATCH_FILES)
          await take(path, files.slice(first, first + BATCH_FILES));
        report.directories++;
        if (files.length === 0) await new Promise(setImmediate);
      }
      await Promise.all(underWay);
      if (failure !== undefined) throw failure;
    } finally {
      await Promise.all(underWay);
      await readers.end();
    }
    if (!dryRun) this.set(report.left + report.busy + report.unnamed);
  }

  private add(report: AdoptionReport, { number }: StorePath, file: AdoptedFile): void {
    if (file.isMetadata) report.metadata++;
    else report.files++;
    report.bytes += file.size;
    if (file.form !== 'plain') report[file.form]++;
    if (file.linked && file.form === 'plain') report.deduplicated++;
    if (file.copied === 0) return;
    const label = storePathLabel(number);
    report.copies[label] = (report.copies[label] ?? 0) + file.copied;
  }
}
