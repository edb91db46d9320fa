import type { FileId } from '../../file-id/file-id.js';
import { toLocation } from './change.js';
import type { DurableWriter } from './durable-write.js';
import { StoreError } from './errors.js';
import { isOf, type Lookup } from './lookup.js';
import { decodeName, KEY_CHARACTERS, keyOf } from './names.js';
import type { FileLocation, Records, RemovedFile } from './records.js';
import type { StorePath } from './store-path.js';
import { type PackedFiles, TAIL_LENGTH } from './trunk.js';
import { filesAndLinksIn, namesWithKeyOf } from './walk.js';

/** Deletes files at the request of clients. Deletions replicated from peers are committed by `Copies`. */
export class Deletions {
  /** Number of files without a record that were deleted since the start. */
  foreign = 0;
  /** Deletions in progress, by location. */
  private readonly running = new Map<string, Promise<RemovedFile | undefined>>();
  /** What is being deleted: the locations of slaves, and of other files what those of their slaves begin with. */
  private readonly ending = new Set<string>();

  constructor(
    private readonly paths: readonly StorePath[],
    private readonly records: Pick<Records, 'find' | 'findMissing' | 'isDeleted' | 'others'>,
    private readonly lookup: Lookup,
    private readonly packed: Pick<PackedFiles, 'tailWithKeyOf'>,
    private readonly writer: DurableWriter,
    /** The server ids of the group, whose files are not foreign. */
    private readonly ids: ReadonlySet<number>,
  ) {}

  /**
   * Deletes a file durably. Resolves with undefined if it is deleted already, or if neither this node nor a peer (`held`) has it.
   * Rejects with a StoreError if the deletion could not be made durable; it may still be completed later. Rejects with a StoreError
   * (`invalid`) if another file of FastDFS has the same key.
   * @param held whether a peer has a record of the file, or it is missing on this node; then it is deleted even if this node
   * never stored it
   * @param keepsSlaves whether to keep the slaves of the file, which are deleted with it otherwise; those of a slave are kept
   */
  remove(id: FileId, held: boolean, keepsSlaves: boolean): Promise<RemovedFile | undefined> {
    const location = locationOf(id);
    // If two clients delete the same file at the same time, the second waits and gets undefined.
    const earlier = this.running.get(location);
    if (earlier) return earlier.then(() => undefined);
    const ending = id.kind === 'slave' ? location : beginningOf(id);
    this.ending.add(ending);
    const removal = this.removeOnce(id, held, keepsSlaves).finally(() => {
      this.running.delete(location);
      this.ending.delete(ending);
    });
    this.running.set(location, removal);
    return removal;
  }

  /** Whether a deletion of this file, or of its master, is in progress: then it gets no slaves any more. */
  isEnding(file: FileLocation): boolean {
    return this.ending.has(locationOf(file)) || this.ending.has(beginningOf(file));
  }

  private async removeOnce(id: FileId, held: boolean, keepsSlaves: boolean): Promise<RemovedFile | undefined> {
    const path = this.paths[id.storePath];
    const key = keyOf(id.name);
    const record = this.records.find(key);
    const holds = this.lookup.holds(id, record);
    const isDeleted = holds !== 'record' && this.records.isDeleted(key);
    if (!path || (holds === undefined && isDeleted)) return undefined;
    if (holds !== undefined || held) this.assertOnlyName(id, path);
    // Records are keyed by the 20 bytes alone: deleting this ID would delete a file with the same key at another location.
    const known = record ?? this.records.findMissing(key);
    if (known && !isOf(known, id)) return undefined;
    // If the disk is not mounted, the file would reappear with it, and a file without a record cannot be found.
    path.assertThere();
    if (holds === undefined && !held) return undefined;
    const { storePath, directory, name } = id;
    // A foreign file has a tombstone, too: a restored copy of the disk must not bring it back. The slot of a packed file cannot be
    // removed; the tombstone alone hides it.
    const removed = { key, storePath, directory, name, foreign: false, accepted: true };
    const isForeign = holds === 'disk';
    // The file last: when its entry of the log is acknowledged, so are those of the slaves.
    const slaves = keepsSlaves || id.kind === 'slave' ? [] : this.slavesOf(id, isForeign);
    await this.writer.commit({ removed: [...slaves, removed] });
    if (isForeign) this.foreign += 1 + slaves.length;
    return removed;
  }

  /** Records and tombstones are by the key: with one of two files of the same key the other would be deleted, too. */
  private assertOnlyName(id: FileId, path: StorePath): void {
    const isOurs = 'serverId' in id.source && this.ids.has(id.source.serverId);
    if (isOurs || id.kind === 'slave') return;
    const tail = this.packed.tailWithKeyOf(id);
    const others = [
      ...namesWithKeyOf(id, path),
      ...(tail === undefined ? [] : [id.name.slice(0, -TAIL_LENGTH) + tail]),
    ];
    const [other] = others;
    if (other === undefined) return;
    throw new StoreError(
      'invalid',
      `${id.name} cannot be deleted: ${other} has the same key, and would be deleted, too`,
    );
  }

  /**
   * The slaves of a file, and theirs. Those of a foreign file may have no record, either. Not to be used for a slave: its name
   * without the extension may be the beginning of the name of another slave.
   */
  private slavesOf(master: FileId, isForeign: boolean): RemovedFile[] {
    const { storePath, directory, name: masterName, kind } = master;
    const characters = masterName.slice(0, kind === 'trunk' ? 43 : KEY_CHARACTERS);
    const isSlave = (file: FileLocation) =>
      file.storePath === storePath &&
      file.directory === directory &&
      file.name.startsWith(characters) &&
      decodeName(file.name).kind === 'slave';
    const recorded = this.records.others(keyOf(masterName)).filter(isSlave);
    const known = new Set(recorded.map(({ name }) => name));
    const path = isForeign ? this.paths[storePath] : undefined;
    const found = path ? filesAndLinksIn(path, directory, new Set()).filter(isSlave) : [];
    const others = found.filter(({ name }) => !known.has(name));
    return [
      ...recorded.map((file) => ({ ...toLocation(file), key: file.key, foreign: false, accepted: true })),
      ...others.map((file) => ({ ...toLocation(file), key: keyOf(file.name), foreign: false, accepted: true })),
    ];
  }
}

function locationOf({ storePath, directory, name }: FileLocation): string {
  return `${storePath}/${directory}/${name}`;
}

/** What the location of a file and those of its slaves begin with. */
function beginningOf(file: FileLocation): string {
  return locationOf({ ...file, name: file.name.slice(0, KEY_CHARACTERS) });
}
