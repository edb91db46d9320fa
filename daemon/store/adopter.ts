import { readFileSync, realpathSync, statSync } from 'node:fs';
import { sep } from 'node:path';
import fileId from '../../file-id/file-id.js';
import type { FileReaders, ReadFile, ToRead } from './file-readers.js';
import type { ForeignFile } from './foreign.js';
import { differenceFromName } from './inspect.js';
import { copyTemporary, dataDirectory, FILE_TIME, filePath } from './layout.js';
import { decodeName, foundVersion, isMetadata, keyOf } from './names.js';
import type { UnnamedFile } from './public-names.js';
import type { Records, StoredFile } from './records.js';
import { isDeletedFile } from './recover-file.js';
import type { Store } from './store.js';
import type { StorePath } from './store-path.js';
import { tellsContent } from './walk.js';

/** A file that was changed this recently may be being written. */
const RECENT_MILLISECONDS = 60_000;
/** Files up to this size are compared with duplicates, and their bytes kept while they are recorded. */
const SMALL = 512 * 1024;
/** Cost of looking up and opening a file, as a number of bytes read. */
const FILE_COST = 4096;

/** A file that has been recorded. */
export interface AdoptedFile {
  form: ForeignFile['form'];
  size: number;
  isMetadata: boolean;
  /** Whether it is a hard link to a file that was there before. */
  linked: boolean;
}

export interface Adopted {
  done: AdoptedFile[];
  /** Number of files that are probably being written. */
  busy: number;
  left: { id: string; reason: string }[];
}

export interface AdoptOptions {
  readers: Pick<FileReaders, 'read'>;
  /** Whether nothing is changed. */
  dryRun: boolean;
  signal: AbortSignal;
  /** Waits until this many bytes may be read. */
  pace(bytes: number): Promise<void>;
}

/** Length of a packed file's name. */
const PACKED_LENGTH = 50;

/** A foreign file, with where its bytes are. */
interface Located {
  file: ForeignFile;
  path: string;
  offset: number;
  size: number | undefined;
  /** Whether size and CRC32 in the name may be those of the path of a link. */
  isLink: boolean;
}

/** A foreign file that was read and matches its name. */
interface Checked extends Located {
  read: ReadFile;
}

/** Records files that were stored by FastDFS: plain ones where they lie, packed ones and symbolic links as files of their own. */
export class Adopter {
  constructor(
    private readonly store: Store,
    private readonly group: string,
    private readonly records: Records,
  ) {}

  /** Takes some files of one store path, all in one change. Rejects with a StoreError; then none has been recorded. */
  async take(path: StorePath, files: readonly ForeignFile[], options: AdoptOptions): Promise<Adopted> {
    const adopted: Adopted = { done: [], busy: 0, left: [] };
    const located = files.flatMap((file) => this.locate(path, file, adopted) ?? []);
    const wanted = located.map((one) => this.toRead(one));
    options.signal.throwIfAborted();
    const found = await options.readers.read(wanted);
    // Afterwards, because the sizes are known now; the next batches wait.
    await options.pace(found.reduce((sum, one) => sum + ('size' in one ? one.size : 0) + FILE_COST, 0));
    options.signal.throwIfAborted();
    const checked = located.flatMap((one, number) => this.check(one, found[number], adopted) ?? []);
    if (checked.length === 0) return adopted;
    if (options.dryRun) adopted.done.push(...checked.map((one) => toAdopted(one, false)));
    else await this.commit(path, checked, adopted);
    return adopted;
  }

  private leave(file: ForeignFile, reason: string, { left }: Adopted): undefined {
    left.push({ id: fileId.join(this.group, file.storePath, file.directory, file.name), reason });
    return undefined;
  }

  /** Where the bytes of a file are; undefined if it is left as it is. */
  private locate(path: StorePath, file: ForeignFile, adopted: Adopted): Located | undefined {
    const full = filePath(path.root, file.directory, file.name);
    const id = () => fileId.decode(fileId.join(this.group, path.number, file.directory, file.name));
    if (file.form === 'plain') {
      // A packed file that was unpacked before its record was lost.
      const isLink = file.name.length === PACKED_LENGTH && this.store.packed.find(id())?.isLink === true;
      return { file, path: full, offset: 0, size: undefined, isLink };
    }
    if (file.form === 'symbolic') {
      const target = this.targetOf(full);
      if (typeof target === 'string') return { file, path: target, offset: 0, size: undefined, isLink: true };
      return this.leave(file, target.reason, adopted);
    }
    const found = this.store.packed.find(id());
    if (!found) return this.leave(file, 'its slot is not there any more, or its link leads nowhere', adopted);
    return { file, ...found };
  }

  /** The file that a symbolic link leads to. Only files of the store paths count. */
  private targetOf(link: string): string | { reason: string } {
    try {
      const target = realpathSync(link);
      const isInside = this.store.paths.some(({ root }) => target.startsWith(realpathSync(dataDirectory(root)) + sep));
      if (!isInside) return { reason: 'it is a symbolic link out of the store paths' };
      return statSync(target).isFile() ? target : { reason: 'it is a symbolic link to something other than a file' };
    } catch {
      return { reason: 'it is a symbolic link that leads nowhere' };
    }
  }

  private toRead({ file, path, offset, size }: Located): ToRead {
    return { path, offset, size, keep: file.form !== 'plain' && (size ?? sizeOf(path)) <= SMALL };
  }

  private check(one: Located, read: ReadFile | { reason: string } | undefined, adopted: Adopted): Checked | undefined {
    const { file } = one;
    if (!read || 'reason' in read) return this.leave(file, read?.reason ?? 'it was not read', adopted);
    const isSure = tellsContent({ ...file, ours: false });
    const difference = isSure && !one.isLink ? differenceFromName(file.name, read) : undefined;
    if (difference === undefined) return { ...one, read };
    // FastDFS writes a file under its final name in some cases.
    if (file.form === 'plain' && Math.abs(Date.now() - read.mtimeMs) < RECENT_MILLISECONDS) {
      adopted.busy++;
      return undefined;
    }
    return this.leave(file, difference, adopted);
  }

  private async commit(path: StorePath, checked: readonly Checked[], adopted: Adopted): Promise<void> {
    const { names, writer } = this.store;
    const unnamed = new Map<Checked, UnnamedFile>();
    const inPlace: StoredFile[] = [];
    const leave = () => {
      for (const file of inPlace) names.leave(file);
    };
    const done: AdoptedFile[] = [];
    await writer.commit({
      write: () => {
        const added: StoredFile[] = [];
        for (const one of checked) {
          const stored = this.write(path, one, adopted);
          if (!stored) continue;
          if (stored.temporary !== undefined) unnamed.set(one, stored as UnnamedFile);
          else {
            // No copy of a peer replaces it in the same batch.
            names.reserve(stored);
            inPlace.push(stored);
          }
          added.push(stored);
          done.push(toAdopted(one, stored.linked === true));
        }
        return added;
      },
      undo: () => {
        leave();
        names.remove([...unnamed.values()]);
      },
      finish: () => {
        leave();
        for (const file of unnamed.values()) names.publish(file);
      },
    });
    adopted.done.push(...done);
  }

  /** The record of a file, after what its form needs; undefined if it is left as it is. */
  private write(path: StorePath, one: Checked, adopted: Adopted): StoredFile | undefined {
    const { file, read } = one;
    const { storePath, directory, name, form } = file;
    const key = keyOf(name);
    const recorded = this.records.find(key);
    if (recorded) {
      return recorded.name === name ? undefined : this.leave(file, `${recorded.name} has the same key`, adopted);
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
    const version = isOther ? 0 : foundVersion(name, read.mtimeMs);
    const stored: StoredFile = {
      ...{ id, key, storePath, directory, name, size, crc32, sha256, version, created },
      accepted: true,
      existed: true,
    };
    try {
      if (form !== 'plain') return this.store.names.write(stored, this.contentOf(one));
      // Changed in the meantime; other files never change, and one that is gone has no time to set.
      if (version && path.sizeOf(directory, name) !== size) return undefined;
      const linked = version ? undefined : this.link(path, one, stored);
      if (linked) return linked;
      if (!version) path.calls.utimesSync(one.path, FILE_TIME, FILE_TIME);
      if (!version) this.store.duplicates.wrote(sha256, stored);
      return stored;
    } catch (error) {
      return this.leave(file, (error as Error).message, adopted);
    }
  }

  private contentOf({ path, offset, read }: Checked): Uint8Array[] {
    if (read.content) return [read.content];
    return [readFileSync(path).subarray(offset, offset + read.size)];
  }

  /** A temporary hard link to a file with the same bytes, both of which are read for that; undefined if there is none. */
  private link(path: StorePath, { path: own, read }: Checked, stored: StoredFile): StoredFile | undefined {
    if (!this.store.deduplicates || read.size > SMALL || read.size === 0) return undefined;
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

function toAdopted({ file: { form, name }, read }: Checked, linked: boolean): AdoptedFile {
  return { form, size: read.size, isMetadata: isMetadata(name), linked };
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
