import { hash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import fileId, { type FileId } from '../../file-id/file-id.js';
import { isNotFound, StoreError, storeError } from './errors.js';
import { filePath } from './layout.js';
import type { Lookup } from './lookup.js';
import { METADATA_LIMIT } from './metadata.js';
import { foundVersion, keyOf, metadataName } from './names.js';
import type { UnnamedFile } from './public-names.js';
import { commitPublic, type PublicWriteParts } from './public-write.js';
import type { FileLocation, Records, StoredFile } from './records.js';
import type { StorePath } from './store-path.js';

interface MetadataFilesParts extends PublicWriteParts {
  group: string;
  paths: readonly StorePath[];
  records: Pick<Records, 'find' | 'withdraw'>;
  lookup: Lookup;
}

/** The batch holds another change of the metadata of the same file, or a copy of a peer's. */
class UnderWay extends Error {}

/** Makes the new metadata of a file from what it has; undefined if it has none. */
export type MetadataChange = (current: Buffer | undefined) => Buffer;

/**
 * The metadata of files, each beside its file in one of its own, as FastDFS keeps it (`<name>-m`). Its record has a version, and the
 * later version replaces the earlier one on every node. Metadata that was removed is an empty file, because a name that was
 * deleted could not be used again.
 */
export class MetadataFiles {
  constructor(private readonly parts: MetadataFilesParts) {}

  /** The metadata of a file; undefined if it has none. Throws a StoreError if it cannot be read. */
  read(id: FileId): Buffer | undefined {
    const bytes = this.readFile(locationOf(id));
    return bytes?.length === 0 ? undefined : bytes;
  }

  /**
   * Changes the metadata of a file of this node durably; empty metadata removes it. Rejects with a StoreError: `not-found` if the
   * file is not here, `invalid` if the metadata is too long; with others as an upload. Changes of one file are made one after another.
   */
  async change(id: FileId, change: MetadataChange): Promise<StoredFile> {
    for (;;) {
      try {
        return await commitPublic(this.parts, () => this.write(id, change));
      } catch (error) {
        // The next batch begins when the one that holds the other change has ended.
        if (!(error instanceof UnderWay)) throw error;
      }
    }
  }

  private write(id: FileId, change: MetadataChange): UnnamedFile {
    const { group, records, lookup, names } = this.parts;
    if (lookup.holds(id) === undefined) throw new StoreError('not-found', `${id.name} is not on this node`);
    const location = locationOf(id);
    if (names.isUnderWay(location)) throw new UnderWay();
    const bytes = change(this.read(id));
    if (bytes.length > METADATA_LIMIT)
      throw new StoreError('invalid', `metadata may have up to ${METADATA_LIMIT} bytes, and this has ${bytes.length}`);
    const key = keyOf(location.name);
    const replaced = records.find(key);
    const version = Math.max(Date.now(), 1 + (replaced?.version ?? this.versionOnDisk(location)));
    const { storePath, directory, name } = location;
    const place = { id: fileId.join(group, storePath, directory, name), key, storePath, directory, name };
    const sha256 = Buffer.from(hash('sha256', bytes, 'hex'), 'hex');
    const content = { size: bytes.length, crc32: crc32(bytes), sha256, version, created: id.created };
    return names.write({ ...place, ...content, accepted: true, replaced }, [bytes]) as UnnamedFile;
  }

  private readFile(location: FileLocation): Buffer | undefined {
    const path = this.pathOf(location);
    if (path === undefined) return undefined;
    try {
      return readFileSync(path);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw storeError('read', path, error);
    }
  }

  /** The version of a metadata file without a record, which FastDFS wrote; 0 if there is none. */
  private versionOnDisk(location: FileLocation): number {
    const path = this.pathOf(location);
    const found = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false });
    return (found && foundVersion(location.name, found.mtimeMs)) ?? 0;
  }

  private pathOf({ storePath, directory, name }: FileLocation): string | undefined {
    const path = this.parts.paths[storePath];
    return path?.isReadable ? filePath(path.root, directory, name) : undefined;
  }
}

function locationOf({ storePath, directory, name }: FileId): FileLocation {
  return { storePath, directory, name: metadataName(name) };
}
