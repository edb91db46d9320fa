import { statSync } from 'node:fs';
import { filePath } from './layout.js';
import { foundVersion, keyOf } from './names.js';
import type { FileRecord, Records } from './records.js';
import { isDeletedFile, type RecoveryReport, recoverFile } from './recover-file.js';
import type { StorePath } from './store-path.js';
import type { Tombstones } from './tombstones.js';
import { directoriesOf, filesIn } from './walk.js';

/** Records read at a time; the event loop runs in between. Also the number of tombstones read or appended at a time. */
const AT_ONCE = 1000;

/** Keys kept in memory at a time; about 100 MB. */
const TOMBSTONES_IN_MEMORY = 2 ** 20;

/** After a crash, but not after a clean stop, the counter of a store path may be ahead of the checkpoint by this many batches. */
const CRASH = 2;

/** Parameters of a reconciliation, and the report it adds to. */
export interface Reconciliation {
  group: string;
  serverId: number;
  /** Server ids of the nodes of the group. */
  ids: ReadonlySet<number>;
  report: RecoveryReport;
}

/** Whether a store path and the index are of the same time. If not, one of them was restored from an older copy. */
export function isOfTheSameMoment(path: StorePath, { checkpoint }: Pick<Records, 'checkpoint'>): boolean {
  const durable = checkpoint.batches[path.number] ?? 0;
  const { count, isSettled } = path.batches;
  return count >= durable && count <= durable + (isSettled ? 0 : CRASH);
}

/**
 * Makes a store path and the index consistent again, whichever of them is older: deletions that only the index has are recorded
 * on the path and repeated; files without a record are read and recorded; records without a file are withdrawn and marked as
 * missing, to be fetched from peers. Runs before the node serves requests.
 */
export async function reconcile(path: StorePath, records: Records, to: Reconciliation): Promise<void> {
  restoreTombstones(path, records);
  for (const directory of directoriesOf(path)) {
    for (const file of filesIn(path, directory, to.ids)) {
      const record = records.find(keyOf(file.name));
      const isDeleted = isDeletedFile(file.name, records);
      if (record && !isDeleted) replaceOther(path, record, records, to.report);
      // Foreign files are left alone, unless they were deleted.
      if (!isDeleted && (!file.ours || records.find(keyOf(file.name)))) continue;
      await recoverFile(path, file, records, { ...to, checked: new Set() });
    }
  }
  // This node has acknowledged entries to its peers that it may have lost.
  records.invalidateCursors();
  for await (const record of recordsOf(path, records)) {
    const found = path.sizeOf(record.directory, record.name);
    if (found === record.size) continue;
    // A wrong size: the file was being written when the older copy was made.
    if (found !== undefined) to.report.quarantined.push(path.quarantine(record.directory, record.name));
    records.withdraw([record]);
    records.markMissing(record);
    to.report.missing++;
  }
  // A count beyond both histories: neither older copy matches the index from now on.
  path.batches.advance(Math.max(path.batches.count, records.checkpoint.batches[path.number] ?? 0) + CRASH + 1);
}

/**
 * Withdraws a record of another version than that of the file on the disk, which is recorded instead then. If the disk is the older
 * one, the recorded version is fetched from a peer.
 */
function replaceOther(path: StorePath, record: FileRecord, records: Records, report: RecoveryReport): void {
  if (!record.version) return;
  const { mtimeMs } = statSync(filePath(path.root, record.directory, record.name));
  const version = foundVersion(record.name, mtimeMs) ?? 0;
  if (version === record.version) return;
  records.withdraw([record]);
  if (version > record.version) return;
  records.markMissing(record);
  report.missing++;
}

/**
 * Appends the tombstones that are in the index but not on the path. The index does not record which path has a tombstone, but a
 * tombstone on two paths does no harm. The path's file is not sorted, so it is read once for each page of keys.
 * @param page number of keys in memory at a time, at most 2^24 (the limit of a Set)
 */
export function restoreTombstones(
  { tombstones }: { tombstones: Pick<Tombstones, 'read' | 'append'> },
  records: Pick<Records, 'deletedAfter'>,
  page = TOMBSTONES_IN_MEMORY,
): void {
  let last: Buffer = Buffer.alloc(0);
  for (;;) {
    const lost = new Set<string>();
    while (lost.size < page) {
      const keys = records.deletedAfter(last, Math.min(AT_ONCE, page - lost.size));
      for (const key of keys) lost.add(key.toString('latin1'));
      const end = keys.at(-1);
      if (!end) break;
      last = end;
    }
    if (lost.size === 0) return;
    for (const key of tombstones.read()) lost.delete(key.toString('latin1'));
    let some: Buffer[] = [];
    for (const key of lost) {
      some.push(Buffer.from(key, 'latin1'));
      if (some.length === AT_ONCE) {
        tombstones.append(some);
        some = [];
      }
    }
    if (some.length > 0) tombstones.append(some);
  }
}

async function* recordsOf(path: StorePath, records: Records): AsyncGenerator<FileRecord> {
  let last: Buffer = Buffer.alloc(0);
  for (;;) {
    const page = records.after(last, AT_ONCE);
    for (const record of page) if (record.storePath === path.number) yield record;
    const end = page.at(-1);
    if (!end) return;
    last = end.key;
    await new Promise(setImmediate);
  }
}
