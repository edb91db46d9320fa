import { statSync } from 'node:fs';
import fileId from '../../file-id/file-id.js';
import { differenceFromName, readContent } from './inspect.js';
import { FILE_TIME, filePath } from './layout.js';
import type { FileLocation, FileRecord, Records, StoredFile } from './records.js';
import type { StorePath } from './store-path.js';

/** What a start after a crash found and did. */
export interface RecoveryReport {
  temporaries: number;
  /** Whole files that had no record: uploads that were never answered. */
  indexed: number;
  /** Damaged files, now in quarantine: where they are. */
  quarantined: string[];
  /** Records without a file: uploads that were never answered, unless the disk lost something. */
  forgotten: string[];
  /** Deletions whose file was still there. */
  deleted: number;
  /** Files that had a record and are not there; they are fetched from peers. */
  missing: number;
  /** Store paths that were not of the same moment as the records: one of both is an older copy. */
  reconciled: number[];
}

/** What is looked for, and what was found so far. */
export interface Search {
  group: string;
  serverId: number;
  report: RecoveryReport;
  checked: Set<string>;
}

/** Looks at a file that may have no record: deleted, torn, or to be recorded. */
export async function recoverFile(
  path: StorePath,
  file: FileLocation,
  records: Records,
  search: Search,
): Promise<void> {
  const { group, serverId, report, checked } = search;
  const key = fileId.keyOf(file.name);
  const id = fileId.join(group, path.number, file.directory, file.name);
  if (records.isDeleted(key)) {
    path.discard(file.directory, file.name);
    report.deleted++;
    return;
  }
  const fullPath = filePath(path.root, file.directory, file.name);
  const content = await readContent(fullPath, { sha256: true });
  const { size, crc32, created, source } = fileId.decodeName(file.name);
  const accepted = 'serverId' in source && source.serverId === serverId;
  const record = records.find(key);
  if (differenceFromName(file.name, content) !== undefined) {
    report.quarantined.push(path.quarantine(file.directory, file.name));
    if (record) records.withdraw([toStored(record, id, size ?? 0)]);
    return;
  }
  checked.add(file.name);
  path.calls.utimesSync(fullPath, FILE_TIME, FILE_TIME);
  if (record) return;
  const stored: StoredFile = {
    ...{ id, key, storePath: path.number, directory: file.directory, name: file.name },
    ...{ size: content.size, crc32: crc32 ?? 0, sha256: content.sha256 as Buffer, created, accepted },
  };
  stored.linked = statSync(fullPath).nlink > 1 && records.findByContent(stored.sha256).length > 0;
  records.record({ added: [stored], removed: [], checkpoint: records.checkpoint });
  report.indexed++;
}

/** A record as `Records.withdraw` takes it. */
export function toStored(record: FileRecord, id: string, size: number): StoredFile {
  return { ...record, id, size, crc32: 0, created: 0, accepted: false };
}
