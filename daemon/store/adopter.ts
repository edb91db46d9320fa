import { readFileSync } from 'node:fs';
import fileId from '../../file-id/file-id.js';
import type { FileReaders, ReadFile, ToRead } from './file-readers.js';
import type { ForeignFile } from './foreign.js';
import { ForeignContent, type Located, locate } from './foreign-content.js';
import { SMALL_FILE } from './incoming-file.js';
import { differenceFromName } from './inspect.js';
import { copyTemporary, FILE_TIME, storePathLabel } from './layout.js';
import { ADOPTED_METADATA } from './metadata.js';
import { decodeName, foundVersion, isMetadata, keyOf } from './names.js';
import { commitPublicFiles } from './public-write.js';
import type { FileLocation, Records, StoredFile } from './records.js';
import { isDeletedFile } from './recover-file.js';
import type { Store } from './store.js';
import type { StorePath } from './store-path.js';
import { namesWithKeyOf, tellsContent } from './walk.js';

/** A file that was changed this recently may be being written. */
const RECENT_MILLISECONDS = 60_000;
/** Bytes of small files that a batch handles in memory, with no turn of the event loop in between. */
const BATCH_BYTES = 8 * 2 ** 20;
/** Cost of looking up and opening a file, as a number of bytes read. */
const FILE_COST = 4096;

/** A file that has been recorded. */
export interface AdoptedFile {
  form: ForeignFile['form'];
  size: number;
  isMetadata: boolean;
  /** Whether it is a hard link to a file that was there before. */
  linked: boolean;
  /** Bytes of space that its copy takes. */
  copied: number;
}

export interface Adopted {
  done: AdoptedFile[];
  /** Number of files that are probably being written. */
  busy: number;
  left: { id: string; reason: string }[];
}

/** As `Adopted`, while files are taken. */
interface Taken extends Omit<Adopted, 'left'> {
  left: { file: ForeignFile; reason: string }[];
}

export interface AdoptOptions {
  readers: Pick<FileReaders, 'read'>;
  /** Whether nothing is changed. */
  dryRun: boolean;
  signal: AbortSignal;
  /** Waits until this many bytes may be read. */
  pace(bytes: number): Promise<void>;
}

/** A foreign file that is about to be read; with `content` if it becomes a file of its own. */
interface Prepared {
  located: Located;
  content: ForeignContent | undefined;
}

/** A foreign file that was read and matches its name. */
interface Checked extends Prepared {
  read: ReadFile;
}

/** Records files that were stored by FastDFS: plain ones where they lie, packed ones and symbolic links as files of their own. */
export class Adopter {
  /** The files in the batches that are being committed, by their keys. */
  private readonly coming = new Map<string, FileLocation>();

  constructor(
    private readonly store: Store,
    private readonly group: string,
    private readonly records: Records,
  ) {}

  /**
   * Takes some files of one store path. Those that need more space than there is are left as they are. Rejects with a StoreError if
   * nothing more can be recorded.
   */
  async take(path: StorePath, files: readonly ForeignFile[], options: AdoptOptions): Promise<Adopted> {
    const adopted: Taken = { done: [], busy: 0, left: [] };
    let batch: Located[] = [];
    let bytes = 0;
    for (const file of files) {
      const found = locate(this.store, this.group, path, file);
      if ('reason' in found) {
        this.leave(file, found.reason, adopted);
        continue;
      }
      if (isMetadata(file.name) && found.size > ADOPTED_METADATA) {
        this.leave(file, `metadata may have up to ${ADOPTED_METADATA} bytes, and this has ${found.size}`, adopted);
        continue;
      }
      const inMemory = found.size <= SMALL_FILE ? found.size : 0;
      if (bytes + inMemory > BATCH_BYTES) {
        await this.takeBatch(path, batch, options, adopted);
        batch = [];
        bytes = 0;
      }
      batch.push(found);
      bytes += inMemory;
    }
    await this.takeBatch(path, batch, options, adopted);
    const left = adopted.left.filter(({ file }) => !this.isGone(file, path));
    const idOf = ({ storePath, directory, name }: ForeignFile) => fileId.join(this.group, storePath, directory, name);
    return { ...adopted, left: left.map(({ file, reason }) => ({ id: idOf(file), reason })) };
  }

  /** Whether a file was deleted since it was found. The slot of a packed file stays. */
  private isGone({ form, directory, name }: ForeignFile, path: StorePath): boolean {
    return form === 'packed' ? isDeletedFile(name, this.records) : !path.isTaken(directory, name);
  }

  private async takeBatch(
    path: StorePath,
    batch: readonly Located[],
    options: AdoptOptions,
    adopted: Taken,
  ): Promise<void> {
    const { readers, signal, dryRun } = options;
    const prepared: Prepared[] = [];
    try {
      for (const located of batch) {
        const content = dryRun || located.file.form === 'plain' ? undefined : this.prepare(path, located, adopted);
        if (content !== null) prepared.push({ located, content });
      }
      signal.throwIfAborted();
      const found = await readers.read(prepared.map(toRead));
      // Afterwards, because the sizes are known now; the next batches wait.
      await options.pace(found.reduce((sum, one) => sum + ('size' in one ? one.size : 0) + FILE_COST, 0));
      signal.throwIfAborted();
      const checked = prepared.flatMap((one, number) => this.check(one, found[number], adopted) ?? []);
      if (dryRun) adopted.done.push(...checked.map((one) => toAdopted(one, one.located.source !== undefined)));
      else await this.commit(path, await this.copy(checked, options, adopted), adopted);
    } finally {
      for (const { content } of prepared) await content?.release();
    }
  }

  /** Null if the file is left as it is. */
  private prepare(path: StorePath, located: Located, adopted: Taken): ForeignContent | null {
    try {
      return ForeignContent.prepare(this.store, path, located);
    } catch (error) {
      this.leave(located.file, (error as Error).message, adopted);
      return null;
    }
  }

  /** Copies the files that are too large for memory. Resolves with all files but those that are left as they are. */
  private async copy(checked: readonly Checked[], { pace, signal }: AdoptOptions, adopted: Taken): Promise<Checked[]> {
    const copied: Checked[] = [];
    for (const one of checked) {
      const reason = await one.content?.copy(one.read, pace, signal);
      if (reason === undefined) copied.push(one);
      else this.leave(one.located.file, reason, adopted);
    }
    return copied;
  }

  private leave(file: ForeignFile, reason: string, { left }: Taken): undefined {
    left.push({ file, reason });
    return undefined;
  }

  private check(one: Prepared, read: ReadFile | { reason: string } | undefined, adopted: Taken): Checked | undefined {
    const { file, isLink } = one.located;
    if (!read || 'reason' in read) return this.leave(file, read?.reason ?? 'it was not read', adopted);
    const isSure = tellsContent({ ...file, ours: false });
    const difference = isSure && !isLink ? differenceFromName(file.name, read) : undefined;
    if (difference === undefined) return { ...one, read };
    // FastDFS writes a file under its final name in some cases.
    if (file.form === 'plain' && Math.abs(Date.now() - read.mtimeMs) < RECENT_MILLISECONDS) {
      adopted.busy++;
      return undefined;
    }
    return this.leave(file, difference, adopted);
  }

  private async commit(path: StorePath, checked: readonly Checked[], adopted: Taken): Promise<void> {
    if (checked.length === 0) return;
    const { names, writer } = this.store;
    const adoptedAs = new Map<StoredFile, Checked>();
    const write = () => {
      for (const one of checked) {
        const stored = this.write(path, one, adopted);
        if (!stored) continue;
        adoptedAs.set(stored, one);
        this.coming.set(stored.key.toString('latin1'), stored);
      }
      return [...adoptedAs.keys()];
    };
    const { stored, unnamed } = await commitPublicFiles({ writer, names, records: this.records }, write).finally(() => {
      for (const { key } of adoptedAs.keys()) this.coming.delete(key.toString('latin1'));
    });
    for (const file of stored) adopted.done.push(toAdopted(adoptedAs.get(file) as Checked, file.linked === true));
    for (const { file, error } of unnamed)
      this.leave((adoptedAs.get(file) as Checked).located.file, (error as Error).message, adopted);
  }

  /** The record of a file, after what its form needs; undefined if it is left as it is. */
  private write(path: StorePath, one: Checked, adopted: Taken): StoredFile | undefined {
    const { located, content, read } = one;
    const { file, path: fullPath } = located;
    const { storePath, directory, name } = file;
    const key = keyOf(name);
    const other = this.records.find(key) ?? this.coming.get(key.toString('latin1'));
    if (other) {
      if (other.name !== name) return this.leave(file, `${other.name} has the same key`, adopted);
      const isHere = other.storePath === storePath && other.directory === directory;
      return isHere ? undefined : this.leave(file, `it is recorded as ${placeOf(other)}`, adopted);
    }
    if (isDeletedFile(name, this.records)) return this.leave(file, 'it was deleted', adopted);
    // A copy of a peer's file may be in the same batch.
    if (this.store.names.isUnderWay(file)) return undefined;
    const id = fileId.join(this.group, storePath, directory, name);
    const { created } = decodeName(name);
    const sha256 = Buffer.from(read.sha256, 'hex');
    const { size, crc32 } = read;
    // Size and CRC32 in the name may be those of a link's path, or of the master of a slave.
    const isOther = differenceFromName(name, read) !== undefined;
    // The file whose key it is must get the record.
    const [owner] = isOther && !located.isLink ? namesWithKeyOf(file, path) : [];
    if (owner !== undefined) return this.leave(file, `${owner} has the same key`, adopted);
    const version = isOther ? 0 : foundVersion(name, read.mtimeMs);
    const stored: StoredFile = {
      ...{ id, key, storePath, directory, name, size, crc32, sha256, version, created },
      accepted: true,
      existed: true,
    };
    try {
      if (content) return this.store.names.write(stored, content.contentOf(read));
      // Changed in the meantime; other files never change, and one that is gone has no time to set.
      if (version && path.sizeOf(directory, name) !== size) return undefined;
      const linked = version ? undefined : this.link(path, fullPath, read, stored);
      if (linked) return linked;
      if (!version) path.calls.utimesSync(fullPath, FILE_TIME, FILE_TIME);
      if (!version) this.store.duplicates.wrote(sha256, stored);
      return stored;
    } catch (error) {
      return this.leave(file, (error as Error).message, adopted);
    }
  }

  /** A temporary hard link to a file with the same bytes, both of which are read for that; undefined if there is none. */
  private link(path: StorePath, own: string, read: ReadFile, stored: StoredFile): StoredFile | undefined {
    if (!this.store.deduplicates || read.size > SMALL_FILE || read.size === 0) return undefined;
    const { sha256, size, storePath } = stored;
    if (!this.store.duplicates.mayHave({ sha256, storePath })) return undefined;
    const content = [readFileSync(own)];
    for (const duplicate of this.store.duplicates.small({ sha256, size, storePath, content })) {
      if (path.inodeOf(duplicate.directory, duplicate.name) === read.ino) return { ...stored, linked: true };
      const temporary = path.linkTemporary(copyTemporary(stored), duplicate);
      if (temporary) return { ...stored, temporary, linked: true };
    }
    return undefined;
  }
}

function placeOf({ storePath, directory, name }: FileLocation): string {
  return `${storePathLabel(storePath)}/${fileId.directories(directory)}/${name}`;
}

function toRead({ located, content }: Prepared): ToRead {
  if (content) return content.toRead;
  const { file, path, offset, size } = located;
  return { path, offset, size: file.form === 'plain' ? undefined : size, keep: false };
}

function toAdopted({ located: { file }, read }: Checked, linked: boolean): AdoptedFile {
  const { form, name } = file;
  const copied = form === 'plain' || linked ? 0 : read.size;
  return { form, size: read.size, isMetadata: isMetadata(name), linked, copied };
}
