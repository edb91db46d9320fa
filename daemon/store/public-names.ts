import type { Duplicates } from './duplicates.js';
import { storeError } from './errors.js';
import { copyTemporary, FILE_TIME } from './layout.js';
import type { FileLocation, StoredFile } from './records.js';
import type { StorePath } from './store-path.js';

/** A file of the current batch under its temporary name. */
export type UnnamedFile = StoredFile & { temporary: string };

/**
 * The bytes of a file; or the path of a temporary file on its store path that holds them, `linked` if that is a hard link to
 * another file of this node. Undefined if a file of this node should have the same content.
 */
export type UnnamedContent = readonly Uint8Array[] | { temporary: string; linked: boolean } | undefined;

interface PublicNamesParts {
  deduplicate: boolean;
  paths: readonly StorePath[];
  duplicates: Duplicates;
  warn(message: string, error: unknown): void;
}

/**
 * Stores files whose names are known before they are stored: copies of peers' files, slaves, metadata. Readers may already
 * request those names, so only a complete, durable file may appear under one: the bytes are written to a temporary file, which is
 * renamed after the sync of its batch. The name of the temporary file contains the final one, so that recovery can finish a
 * renaming that a crash prevented.
 */
export class PublicNames {
  /** Final locations that the current batch changes. */
  private readonly reserved = new Set<string>();
  /** Temporary files of the current batch that are not hard links, by content. */
  private readonly fresh = new Map<string, string>();

  constructor(private readonly parts: PublicNamesParts) {}

  /** Whether the current batch writes a file for this location, or changes the one that is there. */
  isUnderWay(location: FileLocation): boolean {
    return this.reserved.has(keyOf(location));
  }

  /** Announces that the current batch changes the file that has this name. Ended by `leave`. */
  reserve(location: FileLocation): void {
    this.reserved.add(keyOf(location));
  }

  /**
   * Writes a file under its temporary name, or makes a hard link to a file of this node with the same content. Undefined if there
   * is neither content nor such a file. If it throws a StoreError, no file is left.
   */
  write(file: StoredFile, content: UnnamedContent): UnnamedFile | undefined {
    const path = this.parts.paths[file.storePath] as StorePath;
    const name = copyTemporary(file);
    let temporary: string | undefined;
    let linked = false;
    if (content && 'temporary' in content) {
      temporary = path.renameTemporary(content.temporary, name);
      linked = content.linked;
    } else {
      temporary = file.version ? undefined : this.linkDuplicate(path, file, name, content);
      linked = temporary !== undefined;
      if (!temporary && !content) return undefined;
      temporary ??= path.createTemporary(name, content as readonly Uint8Array[], timeOf(file));
    }
    this.reserve(file);
    if (!linked && !file.version) this.fresh.set(contentKey(file), temporary);
    return { ...file, temporary, linked };
  }

  /** Removes the temporary files of a change that failed. */
  remove(files: readonly UnnamedFile[]): void {
    for (const file of files) this.leave(file);
    for (const file of files) this.removeTemporary(file);
  }

  /** Renames a file to its final name. Throws a StoreError; then the temporary file remains. */
  publish(file: UnnamedFile): void {
    const { storePath, directory, name, temporary } = file;
    this.leave(file);
    (this.parts.paths[storePath] as StorePath).replace(temporary, directory, name);
    // rename() does nothing if both names are links to the same file.
    if (file.linked) this.removeTemporary(file);
    else if (!file.version) this.parts.duplicates.wrote(file.sha256, file);
  }

  /** Does not throw: a temporary file that remains is removed by the next startup's recovery and does no harm until then. */
  removeTemporary({ storePath, temporary }: UnnamedFile): void {
    try {
      this.parts.paths[storePath]?.calls.removeSync(temporary);
    } catch (error) {
      const cause = storeError('remove', temporary, error);
      this.parts.warn('a temporary file could not be removed; the next start does it', cause);
    }
  }

  /** Ends the change of a name by the current batch. */
  leave(file: StoredFile): void {
    this.reserved.delete(keyOf(file));
    this.fresh.delete(contentKey(file));
  }

  /**
   * Makes a temporary hard link to a file of this node, or of this batch, with the same content. Undefined if there is none.
   */
  private linkDuplicate(
    path: StorePath,
    file: StoredFile,
    temporaryName: string,
    content: readonly Uint8Array[] | undefined,
  ): string | undefined {
    if (content && !this.parts.deduplicate) return undefined;
    const fresh = this.fresh.get(contentKey(file));
    if (fresh) return path.linkTemporaries(fresh, temporaryName);
    const { sha256, size, storePath } = file;
    for (const duplicate of this.parts.duplicates.small({ sha256, size, storePath, content })) {
      const linked = path.linkTemporary(temporaryName, duplicate);
      if (linked) return linked;
    }
    return undefined;
  }
}

/** The modification time of a file, in seconds since 1970: from its version, so that `foundVersion` finds the version again. */
export function timeOf({ version }: Pick<StoredFile, 'version'>): number {
  return version ? version / 1000 : FILE_TIME;
}

function keyOf({ storePath, directory, name }: FileLocation): string {
  return `${storePath}/${directory}/${name}`;
}

function contentKey({ storePath, sha256 }: Pick<StoredFile, 'storePath' | 'sha256'>): string {
  return `${storePath} ${sha256.toString('latin1')}`;
}
