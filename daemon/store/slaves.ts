import { randomUUID } from 'node:crypto';
import fileId, { type FileId } from '../../file-id/file-id.js';
import type { Duplicates } from './duplicates.js';
import { StoreError } from './errors.js';
import type { ReceivedFile } from './incoming-file.js';
import type { Lookup } from './lookup.js';
import { keyOf, slaveName } from './names.js';
import type { UnnamedContent, UnnamedFile } from './public-names.js';
import { commitPublic, type PublicWriteParts } from './public-write.js';
import type { FileLocation, Records, StoredFile } from './records.js';
import type { StorePath } from './store-path.js';

interface SlavesParts extends PublicWriteParts {
  group: string;
  deduplicate: boolean;
  paths: readonly StorePath[];
  records: Pick<Records, 'find' | 'findMissing' | 'isDeleted' | 'withdraw'>;
  lookup: Lookup;
  duplicates: Duplicates;
  /** Whether a file is being deleted. */
  isBeingDeleted(file: FileLocation): boolean;
}

/**
 * Stores slaves: files whose name is made of another file's, their master's, such as a thumbnail. They lie beside their master and
 * never change.
 */
export class Slaves {
  constructor(private readonly parts: SlavesParts) {}

  /**
   * Stores a received file as a slave of a file of this node, which may be a slave or a foreign file itself, and makes it durable.
   * Rejects with a StoreError: `invalid` if the name is none that a slave can have, `not-found` if the master is not here,
   * `exists` if the name is taken or was deleted; with others as an upload.
   * @param prefix what follows the master's name without its extension
   * @param extension without the dot; may be empty
   * @param received on the master's store path, if it is not in memory
   */
  async add(master: FileId, prefix: string, extension: string, received: ReceivedFile): Promise<StoredFile> {
    const name = slaveName(master.name, prefix, extension);
    const linked = await this.linkLarge(master, received);
    try {
      return await commitPublic(this.parts, () => {
        this.assertPossible(master, name);
        return this.write(master, name, received, linked);
      });
    } finally {
      if (linked) this.pathOf(master).calls.removeSync(linked);
    }
  }

  private pathOf({ storePath }: FileId): StorePath {
    const path = this.parts.paths[storePath];
    if (!path?.isOpen) throw new StoreError('unavailable', `store path ${storePath} is not in use`);
    return path;
  }

  /** Makes a temporary hard link to a file of this node with the content of a large file; undefined if there is none. */
  private async linkLarge(master: FileId, { content, sha256 }: ReceivedFile): Promise<string | undefined> {
    if (!this.parts.deduplicate || !('storePath' in content)) return undefined;
    const path = this.pathOf(master);
    const duplicate = await this.parts.duplicates.large({ sha256, storePath: master.storePath });
    return duplicate && path.linkTemporary(randomUUID(), duplicate);
  }

  private assertPossible(master: FileId, name: string): void {
    const { records, lookup, names } = this.parts;
    if (lookup.holds(master) === undefined || this.parts.isBeingDeleted(master))
      throw new StoreError('not-found', `${master.name} is not on this node`);
    const { storePath, directory } = master;
    const key = keyOf(name);
    const isTaken =
      records.find(key) !== undefined ||
      records.isDeleted(key) ||
      records.findMissing(key) !== undefined ||
      names.isUnderWay({ storePath, directory, name }) ||
      this.pathOf(master).isTaken(directory, name);
    if (isTaken) throw new StoreError('exists', `${name} exists already, or was deleted`);
  }

  private write(master: FileId, name: string, received: ReceivedFile, linked: string | undefined): UnnamedFile {
    const { storePath, directory, created } = master;
    const { content, size, crc32, sha256 } = received;
    const id = fileId.join(this.parts.group, storePath, directory, name);
    const place = { id, key: keyOf(name), storePath, directory, name };
    const file = { ...place, size, crc32, sha256, created, version: 0, accepted: true };
    const written = this.parts.names.write(file, this.contentFor(master, content, linked));
    received.reservation?.release();
    return written as UnnamedFile;
  }

  private contentFor(master: FileId, content: ReceivedFile['content'], linked: string | undefined): UnnamedContent {
    if (linked !== undefined) return { temporary: linked, linked: true };
    if (!('storePath' in content)) return content;
    if (content.storePath.number !== master.storePath)
      throw new StoreError(
        'failed',
        `a slave of ${master.name} was received on store path ${content.storePath.number}`,
      );
    return { temporary: content.path, linked: false };
  }
}
