import { closeSync, openSync, readSync } from 'node:fs';
import fileId from '../../file-id/file-id.js';
import type { Index } from '../index/index.js';
import type { LogEntry } from '../index/replication-log.js';
import { isNotFound } from '../store/errors.js';
import { filePath } from '../store/layout.js';
import { ADOPTED_METADATA } from '../store/metadata.js';
import { isMetadata } from '../store/names.js';
import type { FileLocation, FileRecord } from '../store/records.js';
import type { StorePath } from '../store/store-path.js';
import type { Acknowledgements, Question } from './acknowledgements.js';
import { ENCLOSED_FILE, encodePage, type LogPage, PAGE_BYTES, PAGE_ENTRIES, type PageFile } from './page.js';
import { isUnderstood, named } from './peer-file.js';

/** Serves pages of this node's replication log, and small files, to its followers. */
export class Source {
  private isStopping = false;
  /** Functions that end a waiting request each. */
  private readonly waiting = new Set<() => void>();

  constructor(
    private readonly group: string,
    private readonly paths: readonly StorePath[],
    private readonly index: Index,
    private readonly acknowledgements: Acknowledgements,
  ) {}

  /** Ends all waiting requests. Later requests get no page. */
  stop(): void {
    this.isStopping = true;
    for (const answer of this.waiting) answer();
  }

  /**
   * Records a follower's acknowledgements, waits until there are entries after its cursor (at most `question.wait`, or until
   * `gone` is aborted), and resolves with a page of the log. Resolves with undefined if this node is stopping.
   */
  async log(follower: number, question: Question, gone: AbortSignal): Promise<Buffer | undefined> {
    if (this.isStopping) return undefined;
    const { cursor, answered } = this.acknowledgements.heard(follower, question);
    try {
      const { replicationLog } = this.index;
      const { after, wait } = question;
      const { epoch } = replicationLog;
      if (cursor === 'known' && replicationLog.published === after) await this.news(wait, gone);
      const gap = cursor !== 'known' || replicationLog.epoch !== epoch;
      const { records } = question;
      const logged = gap ? [] : replicationLog.read(after, PAGE_ENTRIES).map((entry) => understoodBy(records, entry));
      return this.page(after, logged, gap);
    } finally {
      answered();
    }
  }

  /** Returns a page of files by their keys, with the contents of small files. Omits files that this node does not have. */
  files(keys: readonly Buffer[]): Buffer {
    const page = new PageBuilder(this.paths, this.group);
    const files: PageFile[] = [];
    for (const key of keys) {
      const record = this.index.find(key);
      // No other request brings metadata: nginx does not serve it.
      const limit = record && isMetadata(record.name) ? ADOPTED_METADATA : ENCLOSED_FILE;
      const file = record && page.enclose(record, limit);
      if (file) files.push(file);
      if (page.isFull) break;
    }
    return encodePage({ files }, page.contents);
  }

  private news(wait: number, gone: AbortSignal): Promise<void> {
    if (gone.aborted || this.isStopping || wait === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        forget();
        this.waiting.delete(done);
        gone.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, wait);
      const forget = this.index.replicationLog.onPublish(done);
      // AbortSignal.any would leak on Node 20: each result stays referenced by the longest-lived signal.
      this.waiting.add(done);
      gone.addEventListener('abort', done);
    });
  }

  private page(after: number, logged: readonly LogEntry[], gap: boolean): Buffer {
    const { epoch, published } = this.index.replicationLog;
    const page = new PageBuilder(this.paths, this.group);
    const entries: LogPage['entries'] = [];
    let upTo = after;
    for (const { sequence, added, linked, removed } of logged) {
      if (page.isFull) break;
      upTo = sequence;
      const file = added && (linked ? named(added, this.group) : page.enclose(added));
      if (file) entries.push({ number: sequence, ...file });
      if (removed) entries.push({ number: sequence, removed: this.idOf(removed), foreign: removed.foreign });
    }
    const nextTime = upTo < published ? (this.index.replicationLog.timeAfter(upTo) ?? null) : null;
    return encodePage({ incarnation: epoch, end: published, gap, upTo, nextTime, entries }, page.contents);
  }

  private idOf({ storePath, directory, name }: FileLocation): string {
    return fileId.join(this.group, storePath, directory, name);
  }
}

/** An entry without what a node that understands only this version of the records cannot take. */
function understoodBy(records: number, entry: LogEntry): LogEntry {
  const { name } = entry.added ?? entry.removed ?? { name: undefined };
  if (name === undefined || isUnderstood(name, records)) return entry;
  return { ...entry, added: undefined, removed: undefined };
}

/** Collects the contents of small files for a page. */
class PageBuilder {
  readonly contents: Buffer[] = [];
  private bytes = 0;

  constructor(
    private readonly paths: readonly StorePath[],
    private readonly group: string,
  ) {}

  get isFull(): boolean {
    return this.bytes >= PAGE_BYTES;
  }

  /** A file, with its content if it has up to `limit` bytes; undefined if the file does not exist or its store path is not open. */
  enclose(record: FileRecord, limit = ENCLOSED_FILE): PageFile | undefined {
    const { storePath, directory, name, size } = record;
    const path = this.paths[storePath];
    if (!path?.isOpen) return undefined;
    const file = named(record, this.group);
    if (size > limit) return file;
    const content = readSmallFile(filePath(path.root, directory, name), size);
    if (!content) return undefined;
    this.contents.push(content);
    this.bytes += content.length;
    return { ...file, enclosed: content.length };
  }
}

/** Reads a file, at most `size` bytes, without verifying it: the follower does. Undefined if the file does not exist. */
function readSmallFile(path: string, size: number): Buffer | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
  try {
    const content = Buffer.allocUnsafe(size);
    const length = readSync(file, content, 0, size, 0);
    return content.subarray(0, length);
  } finally {
    closeSync(file);
  }
}
