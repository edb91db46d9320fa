import { createReadStream, statSync } from 'node:fs';
import fileId, { type FileId } from '../../file-id/file-id.js';
import { appendBytes, chunksOf, cutOff, type Piece } from './append-bytes.js';
import { StoreError, storeError } from './errors.js';
import type { IncomingFile, ReceivedFile } from './incoming-file.js';
import { readPrefix } from './inspect.js';
import { FILE_TIME, filePath } from './layout.js';
import type { Minter } from './minter.js';
import { keyOf } from './names.js';
import type { UnnamedFile } from './public-names.js';
import { commitPublic, type PublicWriteParts } from './public-write.js';
import { RecentDigests } from './recent-digests.js';
import type { FileLocation, FileRecord, Records, StoredFile } from './records.js';
import type { RunningDigest } from './running-digest.js';
import type { StorePath } from './store-path.js';

/** Bytes copied at a time. */
const CHUNK = 2 ** 20;

export interface AppendersParts extends PublicWriteParts {
  group: string;
  /** Whether changes are synced (not with `sync: off`). */
  syncs: boolean;
  paths: readonly StorePath[];
  records: Pick<Records, 'find' | 'isDeleted' | 'withdraw'>;
  minter: Minter;
  /** Begins to receive a file on a store path; see `Store.receive`. */
  receive(announced: number, storePath: number): IncomingFile;
}

/** The files of appenders and their records: each change is made in one commit. The caller sees to that one is made at a time. */
export class AppenderFiles {
  /** Digests of the contents that were appended to last, by key. */
  private readonly digests = new RecentDigests();

  constructor(private readonly parts: AppendersParts) {}

  /** Forgets what is known of a file that does not exist any more. */
  forget(record: FileRecord): void {
    this.digests.delete(idOfDigest(record));
  }

  private filePathOf({ directory, name }: FileLocation, { root }: StorePath): string {
    return filePath(root, directory, name);
  }

  /** Makes a hard link with a new, normal ID. */
  async addName(record: FileRecord, path: StorePath): Promise<StoredFile> {
    const content = (await this.digestOf(record, path)).copy().finish();
    const extension = /\.(.*)$/.exec(record.name.slice(-7))?.[1] ?? '';
    const write = (): StoredFile[] => {
      this.unlessChanged(record, undefined);
      // What an earlier change may have left behind the content.
      const fullPath = this.filePathOf(record, path);
      if (statSync(fullPath).size > record.size) path.calls.truncateSync(fullPath, record.size);
      const stored = this.parts.minter.mint({ ...content, extension }, path);
      if (!path.link(record, stored.directory, stored.name))
        throw new StoreError('failed', `${record.name} cannot be linked to ${stored.name}`);
      try {
        path.calls.utimesSync(this.filePathOf(stored, path), FILE_TIME, FILE_TIME);
      } catch (error) {
        this.parts.writer.discard(stored);
        throw storeError('set the time of', stored.name, error);
      }
      return [stored];
    };
    const undo = (added: readonly StoredFile[]) => {
      for (const file of added) this.parts.writer.discard(file);
    };
    const [stored] = await this.parts.writer.commit({ write, undo });
    return stored as StoredFile;
  }

  async append(record: FileRecord, path: StorePath, piece: Piece, digest: RunningDigest): Promise<StoredFile> {
    // Another name of the same bytes must not change with this one.
    if (statSync(this.filePathOf(record, path)).nlink > 1) {
      const size = record.size + ('zeros' in piece ? piece.zeros : piece.size);
      return this.replace(record, size, async (file) => {
        await this.copyBytes(file, record, 0, record.size);
        await copyPiece(file, piece);
      });
    }
    const version = nextVersion(record);
    try {
      this.unlessChanged(record, undefined);
      await appendBytes(path, record, piece, { digest, version, syncs: this.parts.syncs });
      const finished = digest.copy().finish();
      const file = this.stored(record, { ...finished, version }, { inPlace: true, replaced: record });
      const stored = await this.commitInPlace(record, file);
      this.digests.set(idOfDigest(record), digest);
      return stored;
    } catch (error) {
      if (this.isCurrent(record)) cutOff(path, record, this.parts.writer.warn);
      throw error;
    } finally {
      if (!('zeros' in piece)) piece.reservation?.release();
    }
  }

  /** Records the first bytes of a file as its content, then cuts off the others. */
  async shorten(record: FileRecord, content: Pick<StoredFile, 'size' | 'crc32' | 'sha256'>): Promise<StoredFile> {
    const path = this.pathOf(record);
    const version = nextVersion(record);
    const { size, crc32, sha256 } = content;
    if (statSync(this.filePathOf(record, path)).nlink > 1)
      return this.replace(record, size, (file) => this.copyBytes(file, record, 0, size));
    const file = this.stored(record, { size, crc32, sha256, version }, { inPlace: true, replaced: record });
    const stored = await this.commitInPlace(record, file);
    this.digests.delete(idOfDigest(record));
    cutOff(path, file, this.parts.writer.warn);
    return stored;
  }

  recordOf(id: FileId): FileRecord {
    const { records } = this.parts;
    if (id.kind !== 'appender') throw new StoreError('invalid', `${id.name} is no appender`);
    const record = records.find(keyOf(id.name));
    if (!record || record.name !== id.name || record.storePath !== id.storePath || record.directory !== id.directory)
      throw new StoreError('not-found', `${id.name} is not recorded on this node`);
    return record;
  }

  pathOf({ storePath }: Pick<FileId, 'storePath'>): StorePath {
    const path = this.parts.paths[storePath];
    if (!path?.isOpen || path.unavailable !== undefined)
      throw new StoreError('unavailable', `store path ${storePath} is not in use: ${path?.unavailable ?? 'not open'}`);
    return path;
  }

  /** The digest of the recorded content. Rejects with a StoreError if the file on the disk is another. */
  async digestOf(record: FileRecord, path: StorePath): Promise<RunningDigest> {
    const known = this.digests.get(idOfDigest(record));
    const size = path.sizeOf(record.directory, record.name) ?? 0;
    const isOf = (digest: RunningDigest) =>
      size >= record.size && digest.size === record.size && digest.copy().finish().sha256.equals(record.sha256);
    if (known && isOf(known)) return known;
    const digest = await readPrefix(this.filePathOf(record, path), record.size);
    if (isOf(digest)) return digest;
    throw new StoreError('failed', `${record.name} is damaged or missing; the next scrub repairs it from another node`);
  }

  /** Receives a new content that `compose` writes, and replaces the file with it. */
  async replace(record: FileRecord, size: number, compose: (file: IncomingFile) => Promise<void>): Promise<StoredFile> {
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

  /** Records a change of the bytes under the final name. No copy of a peer gets that name in the same batch. */
  private async commitInPlace(record: FileRecord, file: StoredFile): Promise<StoredFile> {
    const { names, writer } = this.parts;
    let isReserved = false;
    const end = () => {
      if (isReserved) names.leave(file);
    };
    const write = () => {
      this.unlessChanged(record, undefined);
      names.reserve(file);
      isReserved = true;
      return [file];
    };
    const [stored] = await writer.commit({ write, undo: end, finish: end });
    return stored as StoredFile;
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

  private isCurrent(record: FileRecord): boolean {
    const current = this.parts.records.find(record.key);
    return current?.version === record.version && current?.sha256.equals(record.sha256) === true;
  }

  /** Throws a StoreError if the file was deleted or changed since it was looked up: by another node, or in this batch. */
  private unlessChanged<Value>(record: FileRecord, value: Value): Value {
    const { records, names } = this.parts;
    if (!records.find(record.key) || records.isDeleted(record.key))
      throw new StoreError('not-found', `${record.name} was deleted`);
    if (!this.isCurrent(record) || names.isUnderWay(record))
      throw new StoreError('unavailable', `${record.name} was changed by another node meanwhile; try again`);
    return value;
  }

  async copyBytes(file: IncomingFile, record: FileRecord, start: number, end: number): Promise<void> {
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

export async function copyPiece(file: IncomingFile, piece: Piece): Promise<void> {
  for await (const chunk of chunksOf(piece)) await file.write(chunk);
}

/** Milliseconds since 1970, after the version before. */
function nextVersion({ version = 0 }: FileRecord): number {
  return Math.max(Date.now(), version + 1);
}

function idOfDigest({ key }: Pick<FileRecord, 'key'>): string {
  return key.toString('latin1');
}
