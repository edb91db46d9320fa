import { closeSync, existsSync, mkdirSync, openSync, statfsSync, statSync, unlinkSync } from 'node:fs';
import type { Reserve } from '../config/settings.js';
import { errorCode, StoreError, storeError, WrongStorePath } from './errors.js';
import { FileSystem } from './file-system.js';
import {
  dataDirectory,
  markerFile,
  quarantineDirectory,
  temporaryDirectory,
  temporaryFile,
  tombstonesFile,
} from './layout.js';
import { proveIdentity } from './marker.js';
import { Tombstones } from './tombstones.js';

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
 * The disk or directory behind a store path: whether it is the one that it should be, is there, has room, and can be
 * trusted with what is written.
 */
export class Disk {
  private opened: { fileSystem: FileSystem; tombstones: Tombstones; device: number } | undefined;
  /** Why no new files go here now; undefined when they do. */
  private unavailable: string | undefined;
  private capacity = 0;
  protected free = 0;

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
  protected blame(operation: string, path: string, error: unknown): StoreError {
    if (errorCode(error) === 'ENOSPC' || errorCode(error) === 'EDQUOT') this.free = 0;
    else if (DISK_GONE.has(errorCode(error))) this.unavailable = (error as Error).message;
    return storeError(operation, path, error);
  }
}
