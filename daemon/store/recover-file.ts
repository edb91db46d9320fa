import { statSync } from 'node:fs';
import fileId from '../../file-id/file-id.js';
import { differenceFromName, readContent } from './inspect.js';
import { filePath } from './layout.js';
import { decodeName, foundVersion, isMetadata, keyOf, ownerOfMetadata } from './names.js';
import { timeOf } from './public-names.js';
import type { FileLocation, Records, StoredFile } from './records.js';
import type { StorePath } from './store-path.js';

/** The result of a recovery. */
export interface RecoveryReport {
  /** Temporary files removed, or renamed to their final name. */
  temporaries: number;
  /** Complete files without a record, now recorded: uploads that were not acknowledged. */
  indexed: number;
  /** Paths in quarantine of damaged files, and of the bytes that were cut off from appenders. */
  quarantined: string[];
  /** Names of withdrawn records without a file: uploads that were not acknowledged, unless the disk lost data. */
  forgotten: string[];
  /** Deletions whose file still existed. */
  deleted: number;
  /** Recorded files that do not exist; they are fetched from peers. */
  missing: number;
  /** Appenders of which bytes were cut off: their recording was not completed. */
  appended: number;
  /** Numbers of store paths that were reconciled, because they or the index had been restored from an older copy. */
  reconciled: number[];
}

/** Parameters of a recovery, and its results so far. */
export interface Search {
  group: string;
  serverId: number;
  report: RecoveryReport;
  /** Names of files that were read and found intact. */
  checked: Set<string>;
}

/**
 * Recovers one file beyond the checkpoint: unlinks it if it is deleted, moves it to quarantine if it is torn, records it
 * otherwise.
 */
export async function recoverFile(
  path: StorePath,
  file: FileLocation,
  records: Records,
  search: Search,
): Promise<void> {
  const { group, serverId, report, checked } = search;
  const key = keyOf(file.name);
  const id = fileId.join(group, path.number, file.directory, file.name);
  if (isDeletedFile(file.name, records)) {
    path.discard(file.directory, file.name);
    report.deleted++;
    return;
  }
  const fullPath = filePath(path.root, file.directory, file.name);
  const content = await readContent(fullPath, { sha256: true });
  const { crc32, created, source } = decodeName(file.name);
  const accepted = 'serverId' in source && source.serverId === serverId;
  const record = records.find(key);
  if (differenceFromName(file.name, content) !== undefined) {
    report.quarantined.push(path.quarantine(file.directory, file.name));
    if (record) records.withdraw([record]);
    return;
  }
  checked.add(file.name);
  const version = foundVersion(file.name, statSync(fullPath).mtimeMs);
  path.calls.utimesSync(fullPath, timeOf({ version }), timeOf({ version }));
  if (record) return;
  const stored: StoredFile = {
    ...{ id, key, storePath: path.number, directory: file.directory, name: file.name },
    ...{ size: content.size, crc32: crc32 ?? 0, sha256: content.sha256 as Buffer, version, created, accepted },
  };
  stored.linked = !version && statSync(fullPath).nlink > 1 && records.findByContent(stored.sha256).length > 0;
  records.record({ added: [stored], removed: [], checkpoint: records.checkpoint });
  report.indexed++;
}

/** Whether a file was deleted; metadata is deleted with the file that it belongs to. */
export function isDeletedFile(name: string, records: Pick<Records, 'isDeleted'>): boolean {
  return records.isDeleted(keyOf(name)) || (isMetadata(name) && records.isDeleted(keyOf(ownerOfMetadata(name))));
}
