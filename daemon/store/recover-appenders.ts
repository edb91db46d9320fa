import { closeSync, openSync, readSync } from 'node:fs';
import { filePath } from './layout.js';
import { timeOf } from './public-names.js';
import type { FileRecord, Records } from './records.js';
import type { RecoveryReport } from './recover-file.js';
import type { StorePath } from './store-path.js';
import { writeAllSync } from './write-all.js';

/** Bytes copied at a time. */
const CHUNK = 2 ** 20;

/**
 * Cuts off what lies behind the recorded content of appenders: a crash may have prevented its recording, so it was not acknowledged.
 * Only for store paths that are of the same time as the index. After a crash that is not certain, because an index that lacks only
 * the last batches cannot be told from one whose last batches were not recorded; so the bytes are kept in quarantine/.
 */
export function recoverAppenders(
  paths: readonly StorePath[],
  records: Pick<Records, 'appenders'>,
  report: Pick<RecoveryReport, 'appended' | 'quarantined'>,
): void {
  for (const record of records.appenders()) {
    const path = paths.find(({ number }) => number === record.storePath);
    const size = path?.sizeOf(record.directory, record.name);
    if (!path || size === undefined || size <= record.size) continue;
    const kept = keepRest(path, record);
    if (kept !== undefined) report.quarantined.push(kept);
    const fullPath = filePath(path.root, record.directory, record.name);
    path.calls.truncateSync(fullPath, record.size);
    path.calls.utimesSync(fullPath, timeOf(record), timeOf(record));
    report.appended++;
  }
}

/**
 * Copies what lies behind the recorded content to quarantine/. Returns its path; undefined if it could not be copied, for example
 * because the disk is full, as it often is when an append is broken off: a node must start then, too.
 */
function keepRest(path: StorePath, { directory, name, size }: FileRecord): string | undefined {
  const { calls } = path;
  const target = path.nameInQuarantine(`${name}.from-${size}`);
  try {
    const source = openSync(filePath(path.root, directory, name), 'r');
    try {
      const file = calls.openSync(target, 'wx', 0o600);
      try {
        const bytes = Buffer.allocUnsafe(CHUNK);
        let position = size;
        for (;;) {
          const length = readSync(source, bytes, 0, CHUNK, position);
          if (length === 0) return target;
          writeAllSync(calls, file, bytes.subarray(0, length));
          position += length;
        }
      } finally {
        calls.closeSync(file);
      }
    } finally {
      closeSync(source);
    }
  } catch {
    calls.removeSync(target);
    return undefined;
  }
}
