import { closeSync, existsSync, mkdirSync, openSync, statfsSync, statSync, unlinkSync } from 'node:fs';
import { basename } from 'node:path';
import type { Reserve } from '../config/settings.js';
import { counted } from '../words.js';
import { Ballast } from './ballast.js';
import { BatchCounter } from './batch-counter.js';
import { type Calls, realCalls } from './calls.js';
import { errorCode, isFull, StoreError, storeError, WrongStorePath } from './errors.js';
import { FileSystem } from './file-system.js';
import {
  batchesFile,
  dataDirectory,
  markerFile,
  quarantineDirectory,
  temporaryDirectory,
  temporaryFile,
  tombstonesFile,
} from './layout.js';
import { expectMarker, MARKER_MISSING, proveIdentity } from './marker.js';
import { Tombstones } from './tombstones.js';

/** Ballast of a store path in bytes. A deletion takes 20 bytes there. */
const BALLAST = 256 * 1024;

/** Why a store path that is used for reading only takes no files. */
const READ_ONLY = 'this node only reads it (readOnly)';

/** Errors after which the whole store path is unavailable, not only the file. */
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

/**
 * Locks a store path against other processes until this process ends, and returns a function that unlocks it earlier. Throws
 * WrongStorePath if another process has locked it.
 */
export type Lock = (root: string) => () => void;

/** State of a disk while it is in use. */
interface OpenDisk {
  fileSystem: FileSystem;
  tombstones: Tombstones;
  ballast: Ballast;
  batches: BatchCounter;
  device: number;
}

/**
 * The disk or directory of a store path: its identity, its free space and reservations, and whether it can be written to.
 */
export class Disk {
  private opened: OpenDisk | undefined;
  private isReadOnly = false;
  private unlock: (() => void) | undefined;
  /** Error message of the last attempt to open or use the disk; undefined if it succeeded. */
  private accessError: string | undefined;
  /** Bytes; `free` is what is available to unprivileged users, `blockSize` the unit of allocation. */
  private capacity = 0;
  private free = 0;
  private blockSize = 1;
  /** Whether the file system has no free inodes. */
  private hasNoInodes = false;
  /** Bytes reserved for uploads that are not written yet. */
  private reserved = 0;

  constructor(
    /** 0 to 255; M00 to MFF in IDs. */
    readonly number: number,
    readonly root: string,
    private readonly reserve: Reserve,
    readonly calls: Calls = realCalls,
  ) {}

  /**
   * Opens the store path and creates its directories.
   * @param identity as recorded in the index; undefined if the store path is new to the index
   * @param former the directory of this store path at the last start
   * @param lock omitted only in tests
   * @returns the identity in its marker
   * @throws StoreError if the path cannot be used; it takes no files until a restart
   * @throws WrongStorePath if the marker does not match the settings or the index
   */
  open(identity: string | undefined, former?: string, lock?: Lock): string {
    try {
      // Checked first, so that nothing is written to the mount point of a missing disk.
      expectMarker(this.root, this.number, identity, former);
      mkdirSync(this.root, { recursive: true });
      this.unlock = lock?.(this.root);
      const proven = proveIdentity(this.root, this.number, identity, former);
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
        fileSystem: FileSystem.of(this.root, this.calls),
        tombstones: Tombstones.open(tombstonesFile(this.root), this.calls),
        ballast: new Ballast(this.root, BALLAST),
        batches: BatchCounter.open(batchesFile(this.root), this.calls),
        device: statSync(this.root).dev,
      };
      this.accessError = undefined;
      this.refresh();
      return proven;
    } catch (error) {
      this.unlock?.();
      this.accessError = (error as Error).message;
      throw error instanceof WrongStorePath ? error : storeError('open the store path', this.root, error);
    }
  }

  /** Uses the store path for reading only: nothing is written to it, not even a marker, and no other process is locked out. */
  openReadOnly(): void {
    this.isReadOnly = true;
    this.accessError = READ_ONLY;
  }

  /** Whether files may be read: it is open, or used for reading only. */
  get isReadable(): boolean {
    return this.isOpen || this.isReadOnly;
  }

  /** Whether `open` succeeded. */
  get isOpen(): boolean {
    return this.opened !== undefined;
  }

  /** The file system of this path. Throws a StoreError if the path is not open. */
  get fileSystem(): FileSystem {
    return this.whenOpen().fileSystem;
  }

  /** The tombstones of this path. Throws a StoreError if the path is not open. */
  get tombstones(): Tombstones {
    return this.whenOpen().tombstones;
  }

  /** Freed for tombstones when the disk is full. Throws a StoreError if the path is not open. */
  get ballast(): Ballast {
    return this.whenOpen().ballast;
  }

  /** Number of batches that have changed this path. Throws a StoreError if the path is not open. */
  get batches(): BatchCounter {
    return this.whenOpen().batches;
  }

  private whenOpen(): OpenDisk {
    if (this.opened) return this.opened;
    throw new StoreError('unavailable', `the store path ${this.root} is not in use: ${this.accessError}`);
  }

  /** In bytes: the size of the file system, what is reserved for uploads in progress, and what is available to new files. */
  get space(): { capacity: number; reserved: number; available: number } {
    const { capacity, reserved } = this;
    const available = this.isFull ? 0 : Math.max(0, Math.floor(this.free - this.kept - reserved));
    return { capacity, reserved, available };
  }

  /** Whether the disk takes no new files, even if reservations are released. */
  get isFull(): boolean {
    return this.hasNoInodes || this.free <= this.kept;
  }

  /** Bytes that new files must leave free (the setting `reserve`). */
  private get kept(): number {
    return 'bytes' in this.reserve ? this.reserve.bytes : this.capacity * this.reserve.share;
  }

  /**
   * Reserves space for bytes that are still to be written. Throws a StoreError (full) if there is not enough.
   * @param leaving bytes that must stay available afterwards
   */
  claim(bytes: number, leaving = 0): void {
    // The free space is up to a second old.
    if (this.space.available < bytes + leaving) this.refresh();
    if (this.space.available < bytes + leaving) {
      throw new StoreError('full', `${this.root} has no room for ${counted(bytes, 'byte')} more above its reserve`);
    }
    this.reserved += bytes;
  }

  /** Releases space that `claim` reserved: the bytes are written, or will not be. */
  unclaim(bytes: number): void {
    this.reserved -= bytes;
  }

  /** Subtracts written bytes from the free space, rounded up to blocks. */
  written(bytes: number): void {
    this.free -= Math.ceil(bytes / this.blockSize) * this.blockSize;
  }

  /** Human-readable reason why the store path takes no new files; undefined if it does. A full disk is no such reason. */
  get unavailable(): string | undefined {
    const failure = this.opened?.fileSystem.failure;
    return failure ? `a sync failed: ${failure.message}` : this.accessError;
  }

  /** Updates the free space, and whether the disk can be used. Called every second. Throws nothing: see `unavailable`. */
  refresh(): void {
    if (!this.opened) return;
    try {
      this.recognise();
      const { blocks, bavail, bsize, files, ffree } = statfsSync(this.root);
      this.capacity = blocks * bsize;
      this.free = bavail * bsize;
      this.blockSize = bsize;
      // File systems without an inode table report 0 of 0.
      this.hasNoInodes = files > 0 && ffree === 0;
      if (this.accessError !== undefined) {
        this.probe();
        this.accessError = undefined;
      }
      this.opened.ballast.fill();
    } catch (error) {
      this.accessError = (error as Error).message;
    }
  }

  /** Throws a StoreError if the disk is not mounted now, was replaced, or had a failed sync. */
  assertThere(): void {
    this.fileSystem.assertSound();
    try {
      this.recognise();
    } catch (error) {
      this.accessError = (error as Error).message;
      throw new StoreError('unavailable', `the store path ${this.root} is gone: ${this.accessError}`, { cause: error });
    }
  }

  /**
   * Throws if the disk is not the one that was opened. An unmounted disk leaves an empty mount point; files written to a disk
   * mounted later would not be covered by syncs of the open file system.
   */
  private recognise(): void {
    const marker = markerFile(this.root);
    // The message does not name the root: callers prepend it.
    if (!existsSync(marker)) throw new Error(MARKER_MISSING);
    for (const directory of [dataDirectory(this.root), temporaryDirectory(this.root)]) {
      if (!existsSync(directory)) throw new Error(`${basename(directory)}/ is missing; put it back`);
    }
    // Tombstones appended to an unlinked file would be lost.
    const { ino } = statSync(tombstonesFile(this.root), { throwIfNoEntry: false }) ?? {};
    if (ino !== this.opened?.tombstones.inode) {
      throw new Error(
        `${basename(tombstonesFile(this.root))} is not the one that was there at the start; restart fidfs`,
      );
    }
    if (statSync(this.root).dev !== this.opened?.device) {
      throw new Error('another file system is mounted there than at the start; restart fidfs');
    }
  }

  /** Throws if no file can be created. */
  private probe(): void {
    const probe = temporaryFile(this.root, 'probe');
    closeSync(openSync(probe, 'w'));
    unlinkSync(probe);
  }

  /** Wraps the error of a failed write. If it concerns the whole disk, no more files go there until `refresh` succeeds. */
  protected blame(operation: string, path: string, error: unknown): StoreError {
    if (isFull(error)) this.free = 0;
    else if (DISK_GONE.has(errorCode(error))) this.accessError = (error as Error).message;
    return storeError(operation, path, error);
  }
}
