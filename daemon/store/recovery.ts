import { readdirSync } from 'node:fs';
import fileId from '../../file-id/file-id.js';
import { toLocation } from './change.js';
import { type Content, differenceFrom, readContent } from './inspect.js';
import { locationOfCopy, temporaryDirectory, temporaryFile, uploadOfTemporary } from './layout.js';
import { keyOf } from './names.js';
import { isOfTheSameMoment, reconcile } from './reconcile.js';
import type { FileLocation, Records } from './records.js';
import { recoverAppenders } from './recover-appenders.js';
import { recoverCopies } from './recover-copies.js';
import { type RecoveryReport, recoverFile, type Search } from './recover-file.js';
import type { StorePath } from './store-path.js';
import { filesIn } from './walk.js';

/**
 * The search for new files ends after this many directories in a row without one. Files that were not durable are in the
 * directories that follow the checkpoint. A power cut may have lost the entries of some of these, but not of so many.
 */
const EMPTY_DIRECTORIES = 8;

/**
 * Recovers from a crash: repeats deletions, renames complete copies to their final names, removes other temporary files,
 * records complete files without a record, moves torn files to quarantine, and withdraws records without a file. Checks only
 * what lies beyond the checkpoint, so the duration does not depend on the number of stored files. The caller must sync
 * (`settle`) afterwards.
 * @param ids server ids of the nodes of the group
 */
export async function recover(
  paths: readonly StorePath[],
  records: Records,
  group: string,
  serverId: number,
  ids: ReadonlySet<number> = new Set([serverId]),
): Promise<RecoveryReport> {
  const report: RecoveryReport = {
    temporaries: 0,
    indexed: 0,
    quarantined: [],
    forgotten: [],
    deleted: 0,
    missing: 0,
    appended: 0,
    reconciled: [],
  };
  const open = paths.filter((path) => path.isOpen);
  for (const path of open) report.deleted += repeatDeletions(path, records);
  for (const path of open) report.temporaries += await sweepTemporaries(path, policyOf(records));
  await recoverCopies(open, records, group, report);
  const checked = new Set<string>();
  await recoverFiles(open, records, { group, serverId, report, checked });
  const differing = open.filter((path) => !isOfTheSameMoment(path, records));
  for (const path of differing) await reconcile(path, records, { group, serverId, ids, report });
  const matching = open.filter((path) => !differing.includes(path));
  recoverAppenders(matching, records, report);
  report.reconciled = differing.map(({ number }) => number);
  withdrawMissingFiles(open, records, { serverId, report, checked });
  return report;
}

/** A temporary file of a copy. */
interface TemporaryCopy extends FileLocation {
  /** Its path. */
  temporary: string;
  content: Content;
  /** The SHA-256 in its name; undefined if the final name contains size and CRC32. */
  sha256: Buffer | undefined;
}

/** Decides which temporary files are kept. */
interface TemporaryPolicy {
  /** Whether the content of a temporary file, which may be torn, is that of the recorded copy. */
  isCopy(file: TemporaryCopy): boolean;
  /** Whether a resumable upload may continue. */
  isResumable(id: string): boolean;
}

function policyOf(records: Records): TemporaryPolicy {
  return { isCopy: (file) => isRecorded(file, records), isResumable: (id) => records.isResumable(id) };
}

/**
 * Renames complete copies to their final names and removes other temporary files, except those of resumable uploads. Returns
 * their number.
 */
export async function sweepTemporaries(path: StorePath, { isCopy, isResumable }: TemporaryPolicy): Promise<number> {
  let swept = 0;
  for (const temporary of readdirSync(temporaryDirectory(path.root))) {
    const upload = uploadOfTemporary(temporary);
    if (upload !== undefined && isResumable(upload)) continue;
    const fullPath = temporaryFile(path.root, temporary);
    const location = locationOfCopy(temporary);
    if (location) {
      const content = await readContent(fullPath, { sha256: true });
      if (isCopy({ ...location, storePath: path.number, temporary: fullPath, content }))
        path.replace(fullPath, location.directory, location.name);
    }
    path.calls.removeSync(fullPath);
    swept++;
  }
  return swept;
}

function isRecorded({ storePath, directory, name, content }: TemporaryCopy, records: Records) {
  const record = records.find(keyOf(name));
  return (
    record?.name === name &&
    record.directory === directory &&
    record.storePath === storePath &&
    differenceFrom(record, content) === undefined
  );
}

/** Completes every deletion whose tombstone or record is on the disk. Returns the number of files unlinked. */
function repeatDeletions(path: StorePath, records: Records): number {
  const { tombstones: settled, deletions } = records.checkpoint;
  const locations = deletions.filter((location) => location.storePath === path.number);
  const lost = new Set(locations.map((location) => keyOf(location.name).toString('latin1')));
  for (const key of path.tombstones.read(settled[path.number] ?? 0)) {
    lost.delete(key.toString('latin1'));
    const record = records.find(key);
    if (record) locations.push(record);
    const location = toLocation(record ?? { storePath: path.number, directory: 0, name: '' });
    const removed = { ...location, key, foreign: false, accepted: false, recovered: record !== undefined };
    records.record({ added: [], removed: [removed], checkpoint: records.checkpoint });
  }
  if (lost.size > 0) path.tombstones.append([...lost].map((key) => Buffer.from(key, 'latin1')));
  const left = locations.filter((location) => path.isRemovable(location.directory, location.name));
  for (const { directory, name } of left) path.discard(directory, name);
  return left.length;
}

/**
 * Goes through the store paths in parallel: they share the numbering of directories, and a directory may have files on only
 * one of them.
 */
async function recoverFiles(paths: readonly StorePath[], records: Records, search: Search): Promise<void> {
  const { second, directory: first } = records.checkpoint;
  const own = new Set([search.serverId]);
  let empty = 0;
  for (let step = 0; step < 65536 && empty < EMPTY_DIRECTORIES; step++) {
    const directory = (first + step) % 65536;
    empty++;
    for (const path of paths) {
      const files = filesIn(path, directory, own);
      const fresh = files.filter((file) => file.ours && fileId.createdOf(file.name) >= second);
      if (fresh.length > 0) empty = 0;
      for (const file of fresh) await recoverFile(path, file, records, search);
    }
  }
}

/** A record beyond the checkpoint may have reached the disk before its file. */
function withdrawMissingFiles(
  open: readonly StorePath[],
  records: Records,
  { serverId, report, checked }: Omit<Search, 'group'>,
): void {
  const isMissing = ({ storePath, directory, name }: FileLocation) => {
    const path = open.find((one) => one.number === storePath);
    return path && !checked.has(name) && path.sizeOf(directory, name) === undefined;
  };
  const missing = [...records.createdSince(serverId, records.checkpoint.second)].filter(isMissing);
  // If the disk lost acknowledged files, peers have them: anti-entropy then finds them.
  if (missing.length > 0) records.invalidateCursors();
  for (const record of missing) {
    records.withdraw([record]);
    report.forgotten.push(record.name);
  }
}
