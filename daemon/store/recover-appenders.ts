import { filePath } from './layout.js';
import { timeOf } from './public-names.js';
import type { Records } from './records.js';
import type { StorePath } from './store-path.js';

/**
 * Cuts off what lies behind the recorded content of appenders: a crash may have prevented its recording, so it was not acknowledged.
 * Only for store paths that are of the same time as the index. Returns the number of files.
 */
export function recoverAppenders(paths: readonly StorePath[], records: Pick<Records, 'appenders'>): number {
  let cut = 0;
  for (const record of records.appenders()) {
    const path = paths.find(({ number }) => number === record.storePath);
    const size = path?.sizeOf(record.directory, record.name);
    if (!path || size === undefined || size <= record.size) continue;
    const fullPath = filePath(path.root, record.directory, record.name);
    path.calls.truncateSync(fullPath, record.size);
    path.calls.utimesSync(fullPath, timeOf(record), timeOf(record));
    cut++;
  }
  return cut;
}
