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

/** Bytes of ballast: a deletion takes 20 here. */
const BALLAST = 256 * 1024;

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

/**
 * Makes sure that no other process uses a store path until this one ends, and returns what gives it back earlier. Throws
 * WrongStorePath when another one does.
 */
export type Lock = (root: string) => () => void;

/** What is known of a disk while it is in use. */
interface OpenDisk {
  fileSystem: FileSystem;
  tombstones: Tombstones;
  ballast: Ballast;
  batches: BatchCounter;
  device: number;
}

/**
 * The disk or directory behind a store path: whether it is the one that it should be, is there, has room, and can be
 * trusted with what is written.
 */
export class Disk {
  private opened: OpenDisk | undefined;
  private unlock: (() => void) | undefined;
  /** Why the disk could not be opened or used at the last try; undefined when it could. */
  private accessError: string | undefined;
  private capacity = 0;
  /** Bytes that are free, and the size of the blocks that files are made of. */
  private free = 0;
  private blockSize = 1;
  /** Whether the file system can have no more files, however small. */
  private hasNoInodes = false;
  /** Bytes that are still to be written by uploads under way. */
  private reserved = 0;

  constructor(
    /** 0 to 255: the number after M. */
    readonly number: number,
    readonly root: string,
    private readonly reserve: Reserve,
    readonly calls: Calls = realCalls,
  ) {}

  /**
   * Takes the path into use, with the identity that the index knows for it (undefined: it is new to the index).
   * Returns its identity. Throws a StoreError when the path cannot be used, and then it takes no files until a restart;
   * throws WrongStorePath when it is not the one that it should be.
   * @param former the directory that it was at the last start
   * @param lock left out where no other process can know the path, as in tests
   */
  open(identity: string | undefined, former?: string, lock?: Lock): string {
    try {
      // Where a disk is missing, its mount point stays as it is.
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

  /** What is freed for deletions when the disk is full. Throws when the path is not open. */
  get ballast(): Ballast {
    return this.whenOpen().ballast;
  }

  /** How many batches have changed this path. Throws when the path is not open. */
  get batches(): BatchCounter {
    return this.whenOpen().batches;
  }

  private whenOpen(): OpenDisk {
    if (this.opened) return this.opened;
    throw new StoreError('unavailable', `the store path ${this.root} is not in use: ${this.accessError}`);
  }

  /** Bytes in all, bytes that uploads under way are still to take, and bytes that new files may take besides. */
  get space(): { capacity: number; reserved: number; available: number } {
    const { capacity, reserved } = this;
    const available = this.isFull ? 0 : Math.max(0, Math.floor(this.free - this.kept - reserved));
    return { capacity, reserved, available };
  }

  /** Whether no more files go here, whatever becomes of the uploads under way. */
  get isFull(): boolean {
    return this.hasNoInodes || this.free <= this.kept;
  }

  /** Bytes that are kept free of new files. */
  private get kept(): number {
    return 'bytes' in this.reserve ? this.reserve.bytes : this.capacity * this.reserve.share;
  }

  /**
   * Gives room to bytes that are to come. Throws a StoreError when there is not so much.
   * @param leaving so many bytes are to be left
   */
  claim(bytes: number, leaving = 0): void {
    // What is known is up to a second old.
    if (this.space.available < bytes + leaving) this.refresh();
    if (this.space.available < bytes + leaving) {
      throw new StoreError('full', `${this.root} has no room for ${counted(bytes, 'byte')} more above its reserve`);
    }
    this.reserved += bytes;
  }

  /** Takes back room that `claim` gave: the bytes are written, or do not come. */
  unclaim(bytes: number): void {
    this.reserved -= bytes;
  }

  /** So many bytes of a file are on the disk now. */
  written(bytes: number): void {
    this.free -= Math.ceil(bytes / this.blockSize) * this.blockSize;
  }

  /** Why no new files go here now, for people; undefined when they do. */
  get unavailable(): string | undefined {
    const failure = this.opened?.fileSystem.failure;
    return failure ? `a sync failed: ${failure.message}` : this.accessError;
  }

  /** Looks at the disk again: free space, and whether a path that was gone is back. Called every second. */
  refresh(): void {
    if (!this.opened) return;
    try {
      this.recognise();
      const { blocks, bavail, bsize, files, ffree } = statfsSync(this.root);
      this.capacity = blocks * bsize;
      this.free = bavail * bsize;
      this.blockSize = bsize;
      // Some file systems have no table of them, and say 0 of 0.
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

  /** Throws a StoreError unless the disk is there now, and its syncs can be trusted. */
  assertThere(): void {
    this.fileSystem.assertSound();
    try {
      this.recognise();
    } catch (error) {
      this.accessError = (error as Error).message;
      throw new StoreError('unavailable', `the store path ${this.root} is gone: ${this.accessError}`, { cause: error });
    }
  }

  /** An unmounted disk leaves an empty directory behind; another one in its place would not be what is synced. */
  private recognise(): void {
    const marker = markerFile(this.root);
    // Without the root, which whoever tells of it names.
    if (!existsSync(marker)) throw new Error(MARKER_MISSING);
    for (const directory of [dataDirectory(this.root), temporaryDirectory(this.root)]) {
      if (!existsSync(directory)) throw new Error(`${basename(directory)}/ is missing; put it back`);
    }
    // What is appended to a file that was deleted is lost.
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

  /** Proves that files can be made here. */
  private probe(): void {
    const probe = temporaryFile(this.root, 'probe');
    closeSync(openSync(probe, 'w'));
    unlinkSync(probe);
  }

  /** A write failed: no more of them here until `refresh` has seen the disk well. */
  protected blame(operation: string, path: string, error: unknown): StoreError {
    if (isFull(error)) this.free = 0;
    else if (DISK_GONE.has(errorCode(error))) this.accessError = (error as Error).message;
    return storeError(operation, path, error);
  }
}
