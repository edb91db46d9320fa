import { statSync } from 'node:fs';
import fileId from '../../file-id/file-id.js';
import { differenceFrom, readContent } from './inspect.js';
import { filePath } from './layout.js';
import { decodeName, foundVersion, keyOf } from './names.js';
import { timeOf } from './public-names.js';
import type { FileLocation, FileRecord, Records } from './records.js';
import type { RecoveryReport } from './recover-file.js';
import type { StorePath } from './store-path.js';

/**
 * Recovers the files whose names are public before they are stored, after their complete temporary files have been renamed. The
 * record of such a file, and the cursor in the peer's log with it, may have reached the disk before its bytes: it is withdrawn, and
 * the file fetched from a peer unless this node had accepted it, which it had not answered yet then.
 */
export async function recoverCopies(
  open: readonly StorePath[],
  records: Records,
  group: string,
  report: RecoveryReport,
): Promise<void> {
  let isComplete = true;
  for (const { accepted = false, ...location } of records.checkpoint.copies) {
    const path = open.find((one) => one.number === location.storePath);
    const record = records.find(keyOf(location.name));
    if (!path || record?.name !== location.name) continue;
    const isThere = path.sizeOf(location.directory, location.name) !== undefined;
    if (isThere && (await isStored(path, record))) continue;
    isComplete = false;
    records.withdraw([record]);
    if (isThere) await recordFormer(path, location, records, group);
    if (accepted) report.forgotten.push(record.name);
    else {
      records.markMissing(record);
      report.missing++;
    }
  }
  if (!isComplete) records.invalidateCursors();
}

/** Whether the file on the disk is the recorded one, and not the one that it was to replace. */
async function isStored(path: StorePath, record: FileRecord): Promise<boolean> {
  if (record.version === undefined) return true;
  const fullPath = filePath(path.root, record.directory, record.name);
  if (differenceFrom(record, await readContent(fullPath, { sha256: true })) !== undefined) return false;
  path.calls.utimesSync(fullPath, timeOf(record), timeOf(record));
  return true;
}

/** Records the file on the disk, which a record without its bytes was to replace. */
async function recordFormer(path: StorePath, location: FileLocation, records: Records, group: string): Promise<void> {
  const { storePath, directory, name } = location;
  const fullPath = filePath(path.root, directory, name);
  const { size, crc32, sha256 } = await readContent(fullPath, { sha256: true });
  const place = { id: fileId.join(group, storePath, directory, name), key: keyOf(name), storePath, directory, name };
  const version = foundVersion(name, statSync(fullPath).mtimeMs);
  const { created } = decodeName(name);
  const former = { ...place, size, crc32, sha256: sha256 as Buffer, version, created, accepted: false };
  records.record({ added: [former], removed: [], checkpoint: records.checkpoint });
}
