import { existsSync, lstatSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { Disk } from './disk.js';
import { errorCode, isNotFound, type StoreError, storeError } from './errors.js';
import {
  FILE_TIME,
  fileDirectory,
  filePath,
  quarantineDirectory,
  temporaryDirectory,
  temporaryFile,
} from './layout.js';
import type { FileLocation } from './records.js';
import { writeAllSync } from './write-all.js';

/** One disk or directory of this node. Files on it are created, linked, renamed and removed only by this class. */
export class StorePath extends Disk {
  /** Directories with new subdirectories since the last `takeFreshDirectories`; `sync: file` must sync them. */
  private freshDirectories: string[] = [];

  /**
   * Writes a small file under its final name, which is not public yet. If it throws a StoreError, no file is left.
   * @param onRemains called if the partial file could not be removed after an error
   */
  create(directory: number, name: string, content: readonly Uint8Array[], onRemains: () => void): void {
    this.fileSystem.assertSound();
    const path = filePath(this.root, directory, name);
    const file = this.blaming('write', path, () =>
      this.withDirectory(directory, () => this.calls.openSync(path, 'wx', 0o644)),
    );
    this.fill(file, path, content, onRemains);
  }

  /** Writes the content of an open file and closes it. If it throws, the file is removed, or `onRemains` is called. */
  private fill(
    file: number,
    path: string,
    content: readonly Uint8Array[],
    onRemains: () => void,
    time: number = FILE_TIME,
  ): void {
    try {
      try {
        for (const chunk of content) writeAllSync(this.calls, file, chunk);
        this.calls.futimesSync(file, time, time);
      } finally {
        this.calls.closeSync(file);
      }
      this.written(content.reduce((sum, chunk) => sum + chunk.length, 0));
    } catch (error) {
      try {
        this.calls.removeSync(path);
      } catch {
        onRemains(); // the error of the write is the one to report
      }
      throw this.blame('write', path, error);
    }
  }

  private blaming<T>(operation: string, path: string, call: () => T): T {
    try {
      return call();
    } catch (error) {
      throw this.blame(operation, path, error);
    }
  }

  /** Links a complete temporary file to its final name. Never replaces a file. Throws a StoreError. */
  adopt(temporary: string, directory: number, name: string): void {
    this.fileSystem.assertSound();
    const path = filePath(this.root, directory, name);
    try {
      this.withDirectory(directory, () => this.calls.linkSync(temporary, path));
    } catch (error) {
      throw this.blame('link', path, error);
    }
  }

  /**
   * Writes a complete temporary file and returns its path. If it throws a StoreError, no file is left.
   * @param time its modification time, in seconds since 1970
   */
  createTemporary(name: string, content: readonly Uint8Array[], time: number = FILE_TIME): string {
    const path = temporaryFile(this.root, name);
    const { descriptor } = this.overLeftover(path, () => this.openTemporary(name));
    this.fill(descriptor, path, content, () => {}, time); // one that remains is removed when the name is used again
    return path;
  }

  /** Makes a hard link to a file of this path. False if the file has the maximum number of links or does not exist. */
  link(existing: FileLocation, directory: number, name: string): boolean {
    this.fileSystem.assertSound();
    const path = filePath(this.root, directory, name);
    const source = this.pathOf(existing);
    return this.tryLink(source, () => this.withDirectory(directory, () => this.calls.linkSync(source, path)));
  }

  /** Makes a temporary hard link to a file of this path and returns its path. Undefined if `link` would return false. */
  linkTemporary(name: string, existing: FileLocation): string | undefined {
    const path = temporaryFile(this.root, name);
    const source = this.pathOf(existing);
    const link = () => this.calls.linkSync(source, path);
    return this.tryLink(source, () => this.overLeftover(path, link)) ? path : undefined;
  }

  /** Makes another temporary hard link to a temporary file. Undefined if `link` would return false. */
  linkTemporaries(temporary: string, name: string): string | undefined {
    const path = temporaryFile(this.root, name);
    const link = () => this.calls.linkSync(temporary, path);
    return this.tryLink(temporary, () => this.overLeftover(path, link)) ? path : undefined;
  }

  /** Runs `make`; if the temporary file already exists, left by an earlier failure, removes it and runs `make` again. */
  private overLeftover<T>(path: string, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (errorCode(error) !== 'EEXIST' && errorCode((error as Error).cause) !== 'EEXIST') throw error;
      this.calls.removeSync(path);
      return make();
    }
  }

  private pathOf({ directory, name }: FileLocation): string {
    return filePath(this.root, directory, name);
  }

  private tryLink(existing: string, link: () => void): boolean {
    try {
      link();
      return true;
    } catch (error) {
      // EPERM: a file system without hard links.
      if (isNotFound(error) || ['EMLINK', 'EPERM'].includes(errorCode(error) ?? '')) return false;
      throw this.blame('link', existing, error);
    }
  }

  /** Renames a temporary file within its directory and returns the new path. Throws a StoreError. */
  renameTemporary(temporary: string, name: string): string {
    const path = temporaryFile(this.root, name);
    try {
      this.calls.renameSync(temporary, path);
      return path;
    } catch (error) {
      throw this.blame('rename', temporary, error);
    }
  }

  /**
   * Renames a complete temporary file to its final name, which is public already. Replaces a file of the same ID, which may be
   * corrupt. If both are hard links to the same file, the temporary one remains (rename does nothing). Throws a StoreError.
   */
  replace(temporary: string, directory: number, name: string): void {
    this.fileSystem.assertSound();
    const path = filePath(this.root, directory, name);
    try {
      this.withDirectory(directory, () => this.calls.renameSync(temporary, path));
    } catch (error) {
      throw this.blame('rename', path, error);
    }
  }

  /** Removes a file. A missing file is no error. */
  discard(directory: number, name: string): void {
    this.calls.removeSync(filePath(this.root, directory, name));
  }

  /** A path in quarantine/ that no file has. */
  nameInQuarantine(name: string): string {
    let target = join(quarantineDirectory(this.root), name);
    for (let copy = 1; existsSync(target); copy++) target = join(quarantineDirectory(this.root), `${name}.${copy}`);
    return target;
  }

  /** Moves a corrupt file to quarantine/ and returns its path there. */
  quarantine(directory: number, name: string): string {
    const target = this.nameInQuarantine(name);
    this.calls.renameSync(filePath(this.root, directory, name), target);
    return target;
  }

  /** Size of a regular file in bytes. Undefined if it does not exist or is not a regular file. Throws a StoreError. */
  sizeOf(directory: number, name: string): number | undefined {
    try {
      const stat = lstatSync(filePath(this.root, directory, name));
      return stat.isFile() ? stat.size : undefined;
    } catch (error) {
      if (isNotFound(error) || errorCode(error) === 'ENOTDIR') return undefined;
      throw storeError('look at', filePath(this.root, directory, name), error);
    }
  }

  /** Whether anything has this name: a file, a symbolic link, a directory. Throws a StoreError. */
  isTaken(directory: number, name: string): boolean {
    return this.entryOf(directory, name) !== undefined;
  }

  /** Whether `discard` has something to remove: a regular file or a symbolic link. Throws a StoreError. */
  isRemovable(directory: number, name: string): boolean {
    const entry = this.entryOf(directory, name);
    return entry !== undefined && (entry.isFile() || entry.isSymbolicLink());
  }

  private entryOf(directory: number, name: string): Stats | undefined {
    const path = filePath(this.root, directory, name);
    try {
      return lstatSync(path, { throwIfNoEntry: false });
    } catch (error) {
      if (errorCode(error) === 'ENOTDIR') return undefined;
      throw storeError('look at', path, error);
    }
  }

  /**
   * As `sizeOf`; a symbolic link of FastDFS counts as the file that it leads to. Undefined if it leads nowhere, or to something
   * other than a regular file.
   */
  sizeThrough(directory: number, name: string): number | undefined {
    const path = filePath(this.root, directory, name);
    try {
      const stat = statSync(path);
      return stat.isFile() ? stat.size : undefined;
    } catch (error) {
      if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errorCode(error))) return undefined;
      throw storeError('look at', path, error);
    }
  }

  /** The inode number of a file; undefined if it does not exist. */
  inodeOf(directory: number, name: string): number | undefined {
    return lstatSync(filePath(this.root, directory, name), { throwIfNoEntry: false })?.ino;
  }

  /** Creates a temporary file. Throws a StoreError, also if it exists. */
  openTemporary(name: string): { path: string; descriptor: number } {
    this.fileSystem.assertSound();
    const path = temporaryFile(this.root, name);
    try {
      return { path, descriptor: this.calls.openSync(path, 'wx', 0o644) };
    } catch (error) {
      throw this.blame('create', path, error);
    }
  }

  /**
   * Opens a temporary file for appending after its first `size` bytes; what follows them is truncated. Creates it if `size` is 0
   * and it does not exist. Undefined if it is shorter, or has been stored and thus has a second link.
   */
  reopenTemporary(name: string, size: number): { path: string; descriptor: number } | undefined {
    this.fileSystem.assertSound();
    const path = temporaryFile(this.root, name);
    try {
      const found = statSync(path, { throwIfNoEntry: false });
      if ((found?.size ?? 0) < size || (found?.nlink ?? 1) > 1) return undefined;
      const descriptor = this.calls.openSync(path, 'a', 0o644);
      this.calls.ftruncateSync(descriptor, size);
      return { path, descriptor };
    } catch (error) {
      throw this.blame('open', path, error);
    }
  }

  /** Syncs the directory of the temporary files. */
  async syncTemporaries(): Promise<void> {
    const descriptor = this.calls.openSync(temporaryDirectory(this.root), 'r');
    try {
      await this.fileSystem.syncDescriptors([descriptor]);
    } finally {
      this.calls.closeSync(descriptor);
    }
  }

  /** Wraps the error of a failed write to a temporary file, as `blame`. */
  temporaryFailed(path: string, error: unknown): StoreError {
    return this.blame('write', path, error);
  }

  /** The directories with new subdirectories since the last call. */
  takeFreshDirectories(): string[] {
    const fresh = this.freshDirectories;
    this.freshDirectories = [];
    return fresh;
  }

  /** Gives directories back that could not be synced, for the next batch. */
  leaveFreshDirectories(directories: readonly string[]): void {
    this.freshDirectories.push(...directories);
  }

  /** Runs `make`; if its directory is missing, creates that and runs `make` again. */
  private withDirectory<T>(directory: number, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    const inner = fileDirectory(this.root, directory);
    // Not recursive: if data/ is missing, the disk is not mounted.
    for (const made of [inner.slice(0, -3), inner]) {
      try {
        this.calls.mkdirSync(made);
        this.freshDirectories.push(made.slice(0, -3));
      } catch (error) {
        if (errorCode(error) !== 'EEXIST') throw error;
      }
    }
    return make();
  }
}
