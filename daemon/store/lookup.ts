import type { FileId } from '../../file-id/file-id.js';
import { keyOf } from './names.js';
import type { FileLocation, Records } from './records.js';
import type { StorePath } from './store-path.js';
import type { PackedFiles } from './trunk.js';

/** Looks up whether this node has the file with an ID, misses it, or has deleted it. */
export class Lookup {
  constructor(
    private readonly group: string,
    private readonly paths: readonly StorePath[],
    private readonly records: Pick<Records, 'find' | 'findMissing' | 'isDeleted'>,
    private readonly packed: Pick<PackedFiles, 'find'>,
  ) {}

  /**
   * Whether this node has the file: with a record, or only on the disk, as foreign files. Undefined if it has not. Throws a
   * StoreError if the disk cannot be read.
   * @param record the record of the key, if the caller has looked it up
   */
  holds(id: FileId, record = this.records.find(keyOf(id.name))): 'record' | 'disk' | undefined {
    if (!this.isOfGroup(id)) return undefined;
    if (isOf(record, id)) return 'record';
    const path = this.paths[id.storePath];
    if (path?.isReadable && path.sizeThrough(id.directory, id.name) !== undefined) return 'disk';
    // The slot of a deleted file stays.
    return this.packed.find(id) && !this.isDeleted(id) ? 'disk' : undefined;
  }

  /** Whether the file is missing: this node should have it and fetches it from a peer. */
  isMissing(id: FileId): boolean {
    return this.isOfGroup(id) && isOf(this.records.findMissing(keyOf(id.name)), id);
  }

  /** Whether the file was deleted. Its ID is never used again. */
  isDeleted(id: FileId): boolean {
    return this.records.isDeleted(keyOf(id.name));
  }

  private isOfGroup({ group }: FileId): boolean {
    return group === this.group;
  }
}

/** Whether a record is that of the file with this ID. A request may name the same file name with another location. */
export function isOf(record: FileLocation | undefined, { storePath, directory, name }: FileId): boolean {
  return record?.name === name && record.directory === directory && record.storePath === storePath;
}
