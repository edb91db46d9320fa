import fileId from '../../file-id/file-id.js';
import type { FileRecord, Records } from './records.js';
import { type RecoveryReport, recoverFile, toStored } from './recover-file.js';
import type { StorePath } from './store-path.js';
import type { Tombstones } from './tombstones.js';
import { directoriesOf, filesIn } from './walk.js';

/** Records, or tombstones, that are looked at between two turns of the event loop. */
const AT_ONCE = 1000;

/** Some 100 MB. */
const TOMBSTONES_IN_MEMORY = 2 ** 20;

/** So many batches more than are known to be durable may have been counted when a crash comes. */
const CRASH = 2;

/** What is to be brought to agree. */
export interface Reconciliation {
  group: string;
  serverId: number;
  /** The server ids of the group. */
  ids: ReadonlySet<number>;
  report: RecoveryReport;
}

/** Whether a store path and the records are of the same moment; if not, one of them was put back to an older copy. */
export function isOfTheSameMoment(path: StorePath, { checkpoint }: Pick<Records, 'checkpoint'>): boolean {
  const durable = checkpoint.batches[path.number] ?? 0;
  return path.batches.count >= durable && path.batches.count <= durable + CRASH;
}

/**
 * Brings a store path and the records to agree, whichever of them is the older one: deletions that only the records know are
 * done again and recorded on the path, files without a record are read and recorded, and records without a file go to the list of
 * what is to be fetched from peers. Before anything is served.
 */
export async function reconcile(path: StorePath, records: Records, to: Reconciliation): Promise<void> {
  restoreTombstones(path, records);
  for (const directory of directoriesOf(path)) {
    for (const file of filesIn(path, directory, to.ids)) {
      const key = fileId.keyOf(file.name);
      if (!file.ours || (records.find(key) && !records.isDeleted(key))) continue;
      await recoverFile(path, file, records, { ...to, checked: new Set() });
    }
  }
  // Peers were told that they are here.
  records.invalidateCursors();
  for await (const record of recordsOf(path, records)) {
    const { size } = fileId.decodeName(record.name);
    const found = path.sizeOf(record.directory, record.name);
    if (found !== undefined && (size === null || found === size)) continue;
    // It was being written when the copy was made.
    if (found !== undefined) to.report.quarantined.push(path.quarantine(record.directory, record.name));
    records.withdraw([toStored(record, record.name, size ?? 0)]);
    records.markMissing(record);
    to.report.missing++;
  }
  // Neither history is ever taken for the other.
  path.batches.advance(Math.max(path.batches.count, records.checkpoint.batches[path.number] ?? 0) + CRASH + 1);
}

/**
 * Appends the tombstones that the records have and the path has not. Another path may have them; twice does no harm. The path
 * has them in no order, so its file is read once for each page of the records.
 * @param page so many are kept in memory; a Set takes no more than 2^24
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
