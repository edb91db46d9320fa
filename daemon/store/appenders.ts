import { createReadStream, statSync } from 'node:fs';
import fileId, { type FileId } from '../../file-id/file-id.js';
import { appendBytes, chunksOf, cutOff } from './append-bytes.js';
import { StoreError } from './errors.js';
import type { IncomingFile, ReceivedFile } from './incoming-file.js';
import { readPrefix } from './inspect.js';
import { FILE_TIME, filePath } from './layout.js';
import type { Minter } from './minter.js';
import { keyOf } from './names.js';
import type { UnnamedFile } from './public-names.js';
import { commitPublic, type PublicWriteParts } from './public-write.js';
import { RecentDigests } from './recent-digests.js';
import type { FileRecord, Records, StoredFile } from './records.js';
import type { RunningDigest } from './running-digest.js';
import type { StorePath } from './store-path.js';

/** Bytes copied at a time. */
const CHUNK = 2 ** 20;

interface AppendersParts extends PublicWriteParts {
  group: string;
  /** Whether changes are synced (not with `sync: off`). */
  syncs: boolean;
  paths: readonly StorePath[];
  records: Pick<Records, 'find' | 'isDeleted' | 'withdraw'>;
  minter: Minter;
  /** Begins to receive a file on a store path; see `Store.receive`. */
  receive(announced: number, storePath: number): IncomingFile;
}

/**
 * Appenders of FastDFS: files that can be appended to, modified and truncated. Each change makes a new version of the record. An append
 * writes into the file: what lies beyond the recorded size was not acknowledged, and is cut off by the next append or start. Other
 * changes replace the file. Only one node of the group may change an appender, so that there is one order; the caller sees to that.
 */
export class Appenders {
  /** The last change of each appender that is being changed, by key: changes of one file run one after another. */
  private readonly running = new Map<string, Promise<unknown>>();
  /** Digests of the contents that were appended to last, by key. */
  private readonly digests = new RecentDigests();

  constructor(private readonly parts: AppendersParts) {}

  /**
   * Appends received bytes and makes them durable. Rejects with a StoreError: `not-found` if the file is not here, `invalid` if it is
   * none that can be changed; with others as an upload. Then the file is as before.
   */
  append(id: FileId, piece: ReceivedFile): Promise<StoredFile> {
    return this.exclusive(id, async () => {
      const record = this.recordOf(id);
      const path = this.pathOf(id);
      const digest = (await this.digestOf(record, path)).copy();
      // Another name of the same bytes must not change with this one.
      if (statSync(filePath(path.root, record.directory, record.name)).nlink > 1) {
        return this.replace(record, record.size + piece.size, async (file) => {
          await this.copyBytes(file, record, 0, record.size);
          await copyPiece(file, piece);
        });
      }
      const version = nextVersion(record);
      try {
        await appendBytes(path, record, piece, { digest, version, syncs: this.parts.syncs });
        const finished = digest.copy().finish();
        const file = this.stored(record, { ...finished, version }, { inPlace: true, replaced: record });
        const [stored] = await this.parts.writer.commit({ write: () => [this.unlessChanged(record, file)] });
        this.digests.set(idOfDigest(record), digest);
        return stored as StoredFile;
      } catch (error) {
        cutOff(path, record, this.parts.writer.warn);
        throw error;
      } finally {
        piece.reservation?.release();
      }
    });
  }

  /**
   * Overwrites bytes from an offset, which must not be beyond the end; a piece that reaches beyond the end extends the file. Rejects as
   * `append`.
   */
  async modify(id: FileId, offset: number, piece: ReceivedFile): Promise<StoredFile> {
    const { size } = this.recordOf(id);
    if (offset === size) return this.append(id, piece);
    return this.exclusive(id, () => {
      const record = this.recordOf(id);
      if (offset > record.size)
        throw new StoreError(
          'invalid',
          `the offset ${offset} is beyond the end of ${id.name}, which has ${record.size} bytes`,
        );
      const end = offset + piece.size;
      return this.replace(record, Math.max(record.size, end), async (file) => {
        await this.copyBytes(file, record, 0, offset);
        await copyPiece(file, piece);
        if (end < record.size) await this.copyBytes(file, record, end, record.size);
      });
    });
  }

  /** Makes a file shorter, or longer by zeros. Rejects as `append`. */
  truncate(id: FileId, size: number): Promise<StoredFile> {
    return this.exclusive(id, () => {
      const record = this.recordOf(id);
      return this.replace(record, size, async (file) => {
        await this.copyBytes(file, record, 0, Math.min(size, record.size));
        for (let done = record.size; done < size; done += CHUNK)
          await file.write(Buffer.alloc(Math.min(CHUNK, size - done)));
      });
    });
  }

  /**
   * Gives the content a new, normal ID, without copying its bytes, and deletes the appender. Rejects as `append`.
   */
  toNormal(id: FileId): Promise<StoredFile> {
    return this.exclusive(id, async () => {
      const record = this.recordOf(id);
      const path = this.pathOf(id);
      const content = (await this.digestOf(record, path)).copy().finish();
      const extension = /\.(.*)$/.exec(record.name.slice(-7))?.[1] ?? '';
      const { storePath, directory, name, key } = record;
      const write = (): StoredFile[] => {
        this.unlessChanged(record, undefined);
        const stored = this.parts.minter.mint({ ...content, extension }, path);
        if (!path.link(record, stored.directory, stored.name))
          throw new StoreError('failed', `${name} cannot be linked to ${stored.name}`);
        path.calls.utimesSync(filePath(path.root, stored.directory, stored.name), FILE_TIME, FILE_TIME);
        return [stored];
      };
      const removed = [{ key, storePath, directory, name, foreign: false, accepted: true }];
      const undo = (added: readonly StoredFile[]) => {
        for (const file of added) this.parts.writer.discard(file);
      };
      const [stored] = await this.parts.writer.commit({ write, undo, removed });
      this.digests.delete(idOfDigest(record));
      return stored as StoredFile;
    });
  }

  /** Runs `act` when no change of the file is under way, and holds up later ones meanwhile. */
  exclusive<Result>(id: Pick<FileId, 'name'>, act: () => Promise<Result>): Promise<Result> {
    const key = idOfDigest({ key: keyOf(id.name) });
    const before = this.running.get(key) ?? Promise.resolve();
    const done = before.catch(() => {}).then(act);
    this.running.set(key, done);
    const forget = () => {
      if (this.running.get(key) === done) this.running.delete(key);
    };
    done.then(forget, forget);
    return done;
  }

  private recordOf(id: FileId): FileRecord {
    const { records } = this.parts;
    if (id.kind !== 'appender') throw new StoreError('invalid', `${id.name} is no appender`);
    const record = records.find(keyOf(id.name));
    if (!record || record.name !== id.name || record.storePath !== id.storePath || record.directory !== id.directory)
      throw new StoreError('not-found', `${id.name} is not recorded on this node`);
    return record;
  }

  private pathOf({ storePath }: Pick<FileId, 'storePath'>): StorePath {
    const path = this.parts.paths[storePath];
    if (!path?.isOpen || path.unavailable !== undefined)
      throw new StoreError('unavailable', `store path ${storePath} is not in use: ${path?.unavailable ?? 'not open'}`);
    return path;
  }

  /** The digest of the recorded content. Rejects with a StoreError if the file on the disk is another. */
  private async digestOf(record: FileRecord, path: StorePath): Promise<RunningDigest> {
    const known = this.digests.get(idOfDigest(record));
    if (known?.size === record.size && known.copy().finish().sha256.equals(record.sha256)) return known;
    const digest = await readPrefix(filePath(path.root, record.directory, record.name), record.size);
    if (digest.size === record.size && digest.copy().finish().sha256.equals(record.sha256)) return digest;
    throw new StoreError('failed', `${record.name} is damaged or missing; the next scrub repairs it from another node`);
  }

  /** Receives a new content that `compose` writes, and replaces the file with it. */
  private async replace(
    record: FileRecord,
    size: number,
    compose: (file: IncomingFile) => Promise<void>,
  ): Promise<StoredFile> {
    const { names } = this.parts;
    const incoming = this.parts.receive(size, record.storePath);
    let received: ReceivedFile;
    try {
      await compose(incoming);
      received = await incoming.finish('');
    } catch (error) {
      await incoming.discard();
      throw error;
    }
    const { content } = received;
    const version = nextVersion(record);
    try {
      return await commitPublic(this.parts, () => {
        const file = this.unlessChanged(record, this.stored(record, { ...received, version }, { replaced: record }));
        if ('storePath' in content) content.storePath.calls.utimesSync(content.path, version / 1000, version / 1000);
        const bytes = 'storePath' in content ? { temporary: content.path, linked: false } : content;
        return names.write(file, bytes) as UnnamedFile;
      });
    } finally {
      received.release();
      this.digests.delete(idOfDigest(record));
    }
  }

  /** The record of a new version. */
  private stored(
    { key, storePath, directory, name }: FileRecord,
    content: Pick<StoredFile, 'size' | 'crc32' | 'sha256' | 'version'>,
    more: Pick<StoredFile, 'inPlace' | 'replaced'>,
  ): StoredFile {
    const { size, crc32, sha256, version } = content;
    const id = fileId.join(this.parts.group, storePath, directory, name);
    const created = fileId.createdOf(name);
    return { id, key, storePath, directory, name, size, crc32, sha256, version, created, accepted: true, ...more };
  }

  /** Throws a StoreError if the file was deleted or changed since it was looked up: by another node, or in this batch. */
  private unlessChanged<Value>(record: FileRecord, value: Value): Value {
    const current = this.parts.records.find(record.key);
    if (!current || this.parts.records.isDeleted(record.key))
      throw new StoreError('not-found', `${record.name} was deleted`);
    if (current.version !== record.version || !current.sha256.equals(record.sha256))
      throw new StoreError('unavailable', `${record.name} was changed by another node meanwhile; try again`);
    return value;
  }

  private async copyBytes(file: IncomingFile, record: FileRecord, start: number, end: number): Promise<void> {
    if (start >= end) return;
    const { root } = this.pathOf(record);
    const stream = createReadStream(filePath(root, record.directory, record.name), {
      ...{ start, end: end - 1, highWaterMark: CHUNK },
    });
    let length = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      length += chunk.length;
      await file.write(chunk);
    }
    if (length !== end - start) throw new StoreError('failed', `${record.name} is shorter than it should be`);
  }
}

async function copyPiece(file: IncomingFile, piece: ReceivedFile): Promise<void> {
  for await (const chunk of chunksOf(piece)) await file.write(chunk);
}

/** Milliseconds since 1970, after the version before. */
function nextVersion({ version = 0 }: FileRecord): number {
  return Math.max(Date.now(), version + 1);
}

function idOfDigest({ key }: Pick<FileRecord, 'key'>): string {
  return key.toString('latin1');
}
