import type { FileId } from '../../file-id/file-id.js';
import { cutOff, type Piece } from './append-bytes.js';
import { AppenderFiles, type AppendersParts, copyPiece } from './appender-files.js';
import { StoreError } from './errors.js';
import type { ReceivedFile } from './incoming-file.js';
import { readPrefix } from './inspect.js';
import { filePath } from './layout.js';
import { keyOf } from './names.js';
import type { FileRecord, StoredFile } from './records.js';

/** Number of renamed appenders whose new names are kept in memory. */
const RENAMED = 10_000;

/** Parameters of a change. */
export interface AppenderChange {
  /** Maximum size of the file, in bytes. */
  limit: number;
  /** Waits until the change has its copies. Later changes wait for it, so that none is made on one that is taken back. */
  settle(stored: StoredFile): Promise<void>;
}

/**
 * Appenders of FastDFS: files that can be appended to, modified and truncated. Each change makes a new version of the record. An append
 * writes into the file: what lies beyond the recorded size was not acknowledged, and is cut off by the next append or start. What
 * truncates it records the smaller size first. Other changes replace the file. Only one node of the group may change an appender, so
 * that there is one order; the caller sees to that.
 */
export class Appenders {
  /** The last change of each appender that is being changed, by key: changes of one file run one after another. */
  private readonly running = new Map<string, Promise<unknown>>();

  /** The new names of the appenders that were renamed last, by key, in that order. */
  private readonly newNames = new Map<string, StoredFile>();

  private readonly files: AppenderFiles;

  constructor(private readonly parts: AppendersParts) {
    this.files = new AppenderFiles(parts);
  }

  /**
   * Appends received bytes and makes them durable. Rejects with a StoreError: `not-found` if the file is not here, `invalid` if it is
   * none that can be changed or becomes too large; with others as an upload, or with the error of `change.settle`. Then the file is as
   * before.
   */
  append(id: FileId, piece: ReceivedFile, change: AppenderChange): Promise<StoredFile> {
    return this.exclusive(id, () => this.appendTo(this.files.recordOf(id), piece, change));
  }

  /**
   * Overwrites bytes from an offset, which must not be beyond the end; a piece that reaches beyond the end extends the file. Rejects as
   * `append`; after an error of `change.settle` the file stays changed, unless the piece was appended.
   */
  modify(id: FileId, offset: number, piece: ReceivedFile, change: AppenderChange): Promise<StoredFile> {
    return this.exclusive(id, async () => {
      const record = this.files.recordOf(id);
      if (offset === record.size) return this.appendTo(record, piece, change);
      if (offset > record.size)
        throw new StoreError('invalid', `the offset ${offset} is beyond the end of ${id.name}, at ${record.size}`);
      const end = offset + piece.size;
      assertSize(end, change);
      const stored = await this.files.replace(record, Math.max(record.size, end), async (file) => {
        await this.files.copyBytes(file, record, 0, offset);
        await copyPiece(file, piece);
        if (end < record.size) await this.files.copyBytes(file, record, end, record.size);
      });
      await change.settle(stored);
      return stored;
    });
  }

  /** Makes a file shorter, or longer by zeros. Rejects as `modify`. */
  truncate(id: FileId, size: number, change: AppenderChange): Promise<StoredFile> {
    return this.exclusive(id, async () => {
      const record = this.files.recordOf(id);
      if (size > record.size) return this.appendTo(record, { zeros: size - record.size }, change);
      const path = this.files.pathOf(record);
      await this.files.digestOf(record, path);
      const prefix = await readPrefix(filePath(path.root, record.directory, record.name), size);
      const stored = await this.files.shorten(record, prefix.finish());
      await change.settle(stored);
      return stored;
    });
  }

  /**
   * Gives the content a new, normal ID, without copying its bytes, and deletes the appender when `settle` has accepted the new file.
   * Rejects as `append`; then the appender is as before, and the new file is not stored, or removed by `settle`. Repeated, it
   * resolves with the same file; see `renamed`.
   */
  toNormal(id: FileId, settle: AppenderChange['settle']): Promise<StoredFile> {
    return this.exclusive(id, async () => {
      const former = this.renamed(id);
      if (former) return former;
      const record = this.files.recordOf(id);
      const path = this.files.pathOf(id);
      const stored = await this.files.addName(record, path);
      try {
        await settle(stored);
      } catch (error) {
        // The new name had changed the time of the file, in which its version is kept.
        cutOff(path, record, this.parts.writer.warn);
        throw error;
      }
      const { storePath, directory, name, key } = record;
      const removed = [{ key, storePath, directory, name, foreign: false, accepted: true }];
      // If this fails, both names remain, and the new one is whole.
      await this.parts.writer
        .commit({ removed })
        .catch((error: unknown) => this.parts.writer.warn(`the appender ${name} could not be removed`, error));
      this.files.forget(record);
      this.remember(keyOf(id.name), stored);
      return stored;
    });
  }

  /**
   * The file that an appender was made into, if it still exists; undefined if it was not renamed since the start of the daemon, or
   * before `RENAMED` others.
   */
  renamed({ name }: Pick<FileId, 'name'>): StoredFile | undefined {
    const { records } = this.parts;
    const key = keyOf(name);
    const stored = this.newNames.get(key.toString('latin1'));
    return stored && records.isDeleted(key) && records.find(stored.key) ? stored : undefined;
  }

  private remember(key: Buffer, stored: StoredFile): void {
    this.newNames.set(key.toString('latin1'), stored);
    const [oldest] = this.newNames.keys();
    if (this.newNames.size > RENAMED && oldest !== undefined) this.newNames.delete(oldest);
  }

  private async appendTo(record: FileRecord, piece: Piece, change: AppenderChange): Promise<StoredFile> {
    const length = 'zeros' in piece ? piece.zeros : piece.size;
    assertSize(record.size + length, change);
    const path = this.files.pathOf(record);
    const former = (await this.files.digestOf(record, path)).copy();
    const stored = await this.files.append(record, path, piece, former.copy());
    try {
      await change.settle(stored);
      return stored;
    } catch (error) {
      // A client repeats a failed append, so it must not have appended anything.
      await this.files
        .shorten(stored, former.finish())
        .catch((failure: unknown) =>
          this.parts.writer.warn(`an append to ${record.name} with too few copies could not be taken back`, failure),
        );
      throw error;
    }
  }

  /** Runs `act` when no change of the file is under way, and holds up later ones meanwhile. */
  exclusive<Result>(id: Pick<FileId, 'name'>, act: () => Promise<Result>): Promise<Result> {
    const key = keyOf(id.name).toString('latin1');
    const before = this.running.get(key) ?? Promise.resolve();
    const done = before.catch(() => {}).then(act);
    this.running.set(key, done);
    const forget = () => {
      if (this.running.get(key) === done) this.running.delete(key);
    };
    done.then(forget, forget);
    return done;
  }
}

function assertSize(size: number, { limit }: AppenderChange): void {
  if (size > limit) throw new StoreError('invalid', `a file may have up to ${limit} bytes`);
}
