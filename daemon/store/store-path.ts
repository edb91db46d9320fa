import {
  closeSync,
  existsSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Reserve } from '../config/settings.js';
import { errorCode, isMissing, StoreError, storeError, WrongStorePath } from './errors.js';
import { FileSystem } from './file-system.js';
import {
  dataDirectory,
  FILE_TIME,
  fileDirectory,
  filePath,
  markerFile,
  quarantineDirectory,
  temporaryDirectory,
  temporaryFile,
  tombstonesFile,
} from './layout.js';
import { proveIdentity } from './marker.js';
import type { FilePlace } from './records.js';
import { Tombstones } from './tombstones.js';
import { writeAllSync } from './write-all.js';

/** Errors that mean that the whole disk is of no use now, not only this file. */
const DISK_GONE = new Set([
  'EROFS',
  'EIO',
  'ENOENT',
  'ENOTDIR',
  'EACCES',
  'EPERM',
  'ENODEV',
  'ENXIO',
  'ESTALE',
  'ESHUTDOWN',
]);

/** One disk or directory of this node, and the only place that changes what is on it. */
export class StorePath {
  private opened: { fileSystem: FileSystem; tombstones: Tombstones; device: number } | undefined;
  /** Directories made since the last batch took them; their entries need a sync of their own with `sync: file`. */
  private freshDirectories: string[] = [];
  /** Why no new files go here now; undefined when they do. */
  private unavailable: string | undefined;
  private capacity = 0;
  private free = 0;

  constructor(
    /** 0 to 255: the number after M. */
    readonly number: number,
    readonly root: string,
    private readonly reserve: Reserve,
  ) {}

  /**
   * Takes the path into use, with the identity that the index knows for it (undefined: it is new to the index).
   * Returns its identity. Throws a StoreError when the path cannot be used, and then it takes no files until a restart;
   * throws WrongStorePath when it is not the one that it should be.
   */
  open(identity: string | undefined): string {
    try {
      const proven = proveIdentity(this.root, this.number, identity);
      for (const directory of [
        dataDirectory(this.root),
        temporaryDirectory(this.root),
        quarantineDirectory(this.root),
      ]) {
        mkdirSync(directory, { recursive: true });
      }
      if (statSync(this.root).dev !== statSync(dataDirectory(this.root)).dev) {
        throw new WrongStorePath(
          `${dataDirectory(this.root)} is on another file system; make that disk itself the store path`,
        );
      }
      this.opened = {
        fileSystem: FileSystem.of(this.root),
        tombstones: Tombstones.open(tombstonesFile(this.root)),
        device: statSync(this.root).dev,
      };
      this.unavailable = undefined;
      this.refresh();
      return proven;
    } catch (error) {
      this.unavailable = (error as Error).message;
      throw error instanceof WrongStorePath ? error : storeError('open the store path', this.root, error);
    }
  }

  /** Whether `open` succeeded. */
  get isOpen(): boolean {
    return this.opened !== undefined;
  }

  /** The file system this path is on. Throws when the path is not open. */
  get fileSystem(): FileSystem {
    return this.whenOpen().fileSystem;
  }

  /** The deletions of this path. Throws when the path is not open. */
  get tombstones(): Tombstones {
    return this.whenOpen().tombstones;
  }

  private whenOpen(): { fileSystem: FileSystem; tombstones: Tombstones } {
    if (this.opened) return this.opened;
    throw new StoreError('unavailable', `the store path ${this.root} is not in use: ${this.unavailable}`);
  }

  /** Bytes in all, and bytes that new files may still take. */
  get space(): { capacity: number; available: number } {
    const reserved = 'bytes' in this.reserve ? this.reserve.bytes : this.capacity * this.reserve.share;
    return { capacity: this.capacity, available: Math.max(0, Math.floor(this.free - reserved)) };
  }

  /** Why no new files go here now, for people; undefined when they do. */
  get trouble(): string | undefined {
    const failure = this.opened?.fileSystem.failure;
    return failure ? `a sync failed: ${failure.message}` : this.unavailable;
  }

  /** Looks at the disk again: free space, and whether a path that was gone is back. Called every second. */
  refresh(): void {
    if (!this.opened) return;
    try {
      const { blocks, bavail, bsize } = statfsSync(this.root);
      this.capacity = blocks * bsize;
      this.free = bavail * bsize;
      this.recognise();
      if (this.unavailable !== undefined) {
        this.probe();
        this.unavailable = undefined;
      }
    } catch (error) {
      this.unavailable = (error as Error).message;
    }
  }

  /** Throws a StoreError unless the disk is there now, and its syncs can be trusted. */
  assertThere(): void {
    this.fileSystem.assertSound();
    try {
      this.recognise();
    } catch (error) {
      this.unavailable = (error as Error).message;
      throw new StoreError('unavailable', `the store path ${this.root} is gone: ${this.unavailable}`, { cause: error });
    }
  }

  /** An unmounted disk leaves an empty directory behind; another one in its place would not be what is synced. */
  private recognise(): void {
    const marker = markerFile(this.root);
    if (!existsSync(marker)) throw new Error(`${marker} is missing: is the disk mounted?`);
    if (statSync(this.root).dev !== this.opened?.device) {
      throw new Error('another file system is mounted there than at the start; restart fidfs');
    }
  }

  /** Proves that files can be made here. */
  private probe(): void {
    const probe = temporaryFile(this.root, 'probe');
    closeSync(openSync(probe, 'w'));
    unlinkSync(probe);
  }

  /** A write failed: no more of them here until `refresh` has seen the disk well. */
  private blame(operation: string, path: string, error: unknown): StoreError {
    if (errorCode(error) === 'ENOSPC' || errorCode(error) === 'EDQUOT') this.free = 0;
    else if (DISK_GONE.has(errorCode(error))) this.unavailable = (error as Error).message;
    return storeError(operation, path, error);
  }

  /** Writes a small file under its final name, which nobody knows yet. Leaves nothing when it throws. */
  create(directory: number, name: string, content: readonly Uint8Array[]): void {
    this.fileSystem.assertSound();
    const path = filePath(this.root, directory, name);
    let file: number | undefined;
    try {
      file = this.withDirectory(directory, () => openSync(path, 'wx', 0o644));
      for (const chunk of content) writeAllSync(file, chunk);
      futimesSync(file, FILE_TIME, FILE_TIME);
      closeSync(file);
      for (const chunk of content) this.free -= chunk.length;
    } catch (error) {
      if (file !== undefined) {
        closeSync(file);
        this.discard(directory, name);
      }
      throw this.blame('write', path, error);
    }
  }

  /** Gives a finished temporary file its final name, one more; never replaces a file. */
  adopt(temporary: string, directory: number, name: string): void {
    this.fileSystem.assertSound();
    const path = filePath(this.root, directory, name);
    try {
      this.withDirectory(directory, () => linkSync(temporary, path));
    } catch (error) {
      throw this.blame('link', path, error);
    }
  }

  /** Writes a whole temporary file. Leaves nothing when it throws. */
  createTemporary(name: string, content: Uint8Array): string {
    const { path, descriptor } = this.openTemporary(name);
    try {
      writeAllSync(descriptor, content);
      futimesSync(descriptor, FILE_TIME, FILE_TIME);
      this.free -= content.length;
      return path;
    } catch (error) {
      rmSync(path, { force: true });
      throw this.blame('write', path, error);
    } finally {
      closeSync(descriptor);
    }
  }

  /** One more name for a file of this path. False when it may have no more of them, or is gone. */
  link(existing: FilePlace, directory: number, name: string): boolean {
    this.fileSystem.assertSound();
    const path = filePath(this.root, directory, name);
    const source = this.pathOf(existing);
    return this.tryLink(source, () => this.withDirectory(directory, () => linkSync(source, path)));
  }

  /** A temporary name for the content of another file of this path. Undefined when it may have none, or is gone. */
  linkTemporary(name: string, existing: FilePlace): string | undefined {
    const path = temporaryFile(this.root, name);
    const source = this.pathOf(existing);
    return this.tryLink(source, () => linkSync(source, path)) ? path : undefined;
  }

  /** One more temporary name for a temporary file. Undefined when it may have no more of them. */
  linkTemporaries(temporary: string, name: string): string | undefined {
    const path = temporaryFile(this.root, name);
    return this.tryLink(temporary, () => linkSync(temporary, path)) ? path : undefined;
  }

  private pathOf({ directory, name }: FilePlace): string {
    return filePath(this.root, directory, name);
  }

  private tryLink(existing: string, link: () => void): boolean {
    try {
      link();
      return true;
    } catch (error) {
      // EPERM: a file system without hard links.
      if (isMissing(error) || ['EMLINK', 'EPERM'].includes(errorCode(error) ?? '')) return false;
      throw this.blame('link', existing, error);
    }
  }

  /** Gives a temporary file another temporary name. */
  renameTemporary(temporary: string, name: string): string {
    const path = temporaryFile(this.root, name);
    try {
      renameSync(temporary, path);
      return path;
    } catch (error) {
      throw this.blame('rename', temporary, error);
    }
  }

  /**
   * Gives a finished temporary file a name that is public already, and may have a file, bad or good, of the same ID. Where
   * both were links to one file, the temporary one is left.
   */
  replace(temporary: string, directory: number, name: string): void {
    this.fileSystem.assertSound();
    const path = filePath(this.root, directory, name);
    try {
      this.withDirectory(directory, () => renameSync(temporary, path));
    } catch (error) {
      throw this.blame('rename', path, error);
    }
  }

  /** Removes a file; one that is not there is no error. */
  discard(directory: number, name: string): void {
    rmSync(filePath(this.root, directory, name), { force: true });
  }

  /** Keeps a bad file aside; returns where. */
  quarantine(directory: number, name: string): string {
    let target = join(quarantineDirectory(this.root), name);
    for (let copy = 1; existsSync(target); copy++) target = join(quarantineDirectory(this.root), `${name}.${copy}`);
    renameSync(filePath(this.root, directory, name), target);
    return target;
  }

  /** Size of a regular file; undefined when there is none (a directory or a link is none). */
  sizeOf(directory: number, name: string): number | undefined {
    try {
      const stat = lstatSync(filePath(this.root, directory, name));
      return stat.isFile() ? stat.size : undefined;
    } catch (error) {
      if (isMissing(error) || errorCode(error) === 'ENOTDIR') return undefined;
      throw storeError('look at', filePath(this.root, directory, name), error);
    }
  }

  /** Which file a name stands for, of those that have several; undefined when there is none. */
  inodeOf(directory: number, name: string): number | undefined {
    return lstatSync(filePath(this.root, directory, name), { throwIfNoEntry: false })?.ino;
  }

  /** Opens a new temporary file. */
  openTemporary(name: string): { path: string; descriptor: number } {
    this.fileSystem.assertSound();
    const path = temporaryFile(this.root, name);
    try {
      return { path, descriptor: openSync(path, 'wx', 0o644) };
    } catch (error) {
      throw this.blame('create', path, error);
    }
  }

  /**
   * Opens a temporary file to go on writing behind its first `size` bytes, and makes it when that is none. Undefined when
   * it has not got so many.
   */
  reopenTemporary(name: string, size: number): { path: string; descriptor: number } | undefined {
    this.fileSystem.assertSound();
    const path = temporaryFile(this.root, name);
    try {
      if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) < size) return undefined;
      const descriptor = openSync(path, 'a', 0o644);
      ftruncateSync(descriptor, size);
      return { path, descriptor };
    } catch (error) {
      throw this.blame('open', path, error);
    }
  }

  /** A write to a temporary file of this path failed. */
  temporaryFailed(path: string, error: unknown): StoreError {
    return this.blame('write', path, error);
  }

  /** The directories made since the last call. */
  takeFreshDirectories(): string[] {
    const fresh = this.freshDirectories;
    this.freshDirectories = [];
    return fresh;
  }

  /** Runs `make`; when its directory is missing, makes that and runs it again. */
  private withDirectory<T>(directory: number, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    const inner = fileDirectory(this.root, directory);
    // Not recursive: where data/ itself is gone, so is the disk.
    for (const made of [inner.slice(0, -3), inner]) {
      try {
        mkdirSync(made);
        this.freshDirectories.push(made.slice(0, -3));
      } catch (error) {
        if (errorCode(error) !== 'EEXIST') throw error;
      }
    }
    return make();
  }
}
