import { existsSync, lstatSync, statSync } from 'node:fs';
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

/** One disk or directory of this node, and the only module that changes what is on it. */
export class StorePath extends Disk {
  /** Directories made since the last batch took them; their entries need a sync of their own with `sync: file`. */
  private freshDirectories: string[] = [];

  /**
   * Writes a small file under its final name, which nobody knows yet. Leaves nothing when it throws.
   * @param onRemains called where something is left all the same, because it could not be removed either
   */
  create(directory: number, name: string, content: readonly Uint8Array[], onRemains: () => void): void {
    this.fileSystem.assertSound();
    const path = filePath(this.root, directory, name);
    const file = this.blaming('write', path, () =>
      this.withDirectory(directory, () => this.calls.openSync(path, 'wx', 0o644)),
    );
    this.fill(file, path, content, onRemains);
  }

  /** Writes a whole file and closes it. Leaves nothing of it when it throws, or says so. */
  private fill(file: number, path: string, content: readonly Uint8Array[], onRemains: () => void): void {
    try {
      try {
        for (const chunk of content) writeAllSync(this.calls, file, chunk);
        this.calls.futimesSync(file, FILE_TIME, FILE_TIME);
      } finally {
        this.calls.closeSync(file);
      }
      this.written(content.reduce((sum, chunk) => sum + chunk.length, 0));
    } catch (error) {
      try {
        this.calls.removeSync(path);
      } catch {
        onRemains(); // what the write threw says more
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

  /** Gives a finished temporary file its final name, one more; never replaces a file. */
  adopt(temporary: string, directory: number, name: string): void {
    this.fileSystem.assertSound();
    const path = filePath(this.root, directory, name);
    try {
      this.withDirectory(directory, () => this.calls.linkSync(temporary, path));
    } catch (error) {
      throw this.blame('link', path, error);
    }
  }

  /** Writes a whole temporary file. Leaves nothing when it throws. */
  createTemporary(name: string, content: Uint8Array): string {
    const path = temporaryFile(this.root, name);
    const { descriptor } = this.overLeftover(path, () => this.openTemporary(name));
    this.fill(descriptor, path, [content], () => {}); // the next one of this name removes it
    return path;
  }

  /** One more name for a file of this path. False when it may have no more of them, or is gone. */
  link(existing: FileLocation, directory: number, name: string): boolean {
    this.fileSystem.assertSound();
    const path = filePath(this.root, directory, name);
    const source = this.pathOf(existing);
    return this.tryLink(source, () => this.withDirectory(directory, () => this.calls.linkSync(source, path)));
  }

  /** A temporary name for the content of another file of this path. Undefined when it may have none, or is gone. */
  linkTemporary(name: string, existing: FileLocation): string | undefined {
    const path = temporaryFile(this.root, name);
    const source = this.pathOf(existing);
    const link = () => this.calls.linkSync(source, path);
    return this.tryLink(source, () => this.overLeftover(path, link)) ? path : undefined;
  }

  /** One more temporary name for a temporary file. Undefined when it may have no more of them. */
  linkTemporaries(temporary: string, name: string): string | undefined {
    const path = temporaryFile(this.root, name);
    const link = () => this.calls.linkSync(temporary, path);
    return this.tryLink(temporary, () => this.overLeftover(path, link)) ? path : undefined;
  }

  /** Makes a temporary file in the place of one that an earlier failure left. */
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

  /** Gives a temporary file another temporary name. */
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
   * Gives a finished temporary file a name that is public already, and may have a file, bad or good, of the same ID. Where
   * both were links to one file, the temporary one is left.
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

  /** Removes a file; one that is not there is no error. */
  discard(directory: number, name: string): void {
    this.calls.removeSync(filePath(this.root, directory, name));
  }

  /** Keeps a bad file aside; returns where. */
  quarantine(directory: number, name: string): string {
    let target = join(quarantineDirectory(this.root), name);
    for (let copy = 1; existsSync(target); copy++) target = join(quarantineDirectory(this.root), `${name}.${copy}`);
    this.calls.renameSync(filePath(this.root, directory, name), target);
    return target;
  }

  /** Size of a regular file; undefined when there is none (a directory or a link is none). */
  sizeOf(directory: number, name: string): number | undefined {
    try {
      const stat = lstatSync(filePath(this.root, directory, name));
      return stat.isFile() ? stat.size : undefined;
    } catch (error) {
      if (isNotFound(error) || errorCode(error) === 'ENOTDIR') return undefined;
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
      return { path, descriptor: this.calls.openSync(path, 'wx', 0o644) };
    } catch (error) {
      throw this.blame('create', path, error);
    }
  }

  /**
   * Opens a temporary file to go on writing behind its first `size` bytes, and makes it when that is none. Undefined when
   * it has not got so many, or has become a stored file, which has another name.
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

  /** Brings the names of temporary files to stable storage. */
  async syncTemporaries(): Promise<void> {
    const descriptor = this.calls.openSync(temporaryDirectory(this.root), 'r');
    try {
      await this.fileSystem.syncDescriptors([descriptor]);
    } finally {
      this.calls.closeSync(descriptor);
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

  /** Their entries could not be synced: the next batch takes them again. */
  leaveFreshDirectories(directories: readonly string[]): void {
    this.freshDirectories.push(...directories);
  }

  /** Runs `make`; when its directory is missing, makes that and runs it again. */
  private withDirectory<T>(directory: number, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    const inner = fileDirectory(this.root, directory);
    // Not recursive: where data/ itself is gone, so is the disk.
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
