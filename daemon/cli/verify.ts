import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fileId from '../../file-id/file-id.js';
import { groupIds, type Settings } from '../config/settings.js';
import { Index } from '../index/index.js';
import { isNotFound } from '../store/errors.js';
import { type Content, ContentReader, differenceFrom, differenceFromName } from '../store/inspect.js';
import { filePath, storePathLabel } from '../store/layout.js';
import { MARKER_MISSING, readMarker } from '../store/marker.js';
import { isMetadata, keyOf } from '../store/names.js';
import type { FileRecord } from '../store/records.js';
import { StorePath } from '../store/store-path.js';
import { directoriesOf, type FoundFile, filesIn, tellsContent } from '../store/walk.js';
import { formatBytes, progressBar } from './output.js';
import { enterDataDirectory } from './owner.js';

/** Pause before the second check: a difference may come from an upload under way. */
const SECOND_LOOK_MILLISECONDS = 2000;

/** What `fidfs verify` found. */
export interface VerifyReport {
  files: number;
  bytes: number;
  /** Files that were not created by this group; also counted in `files`. */
  foreign: number;
  /** Files whose name has no size and CRC32 (slaves, appenders). */
  unchecked: number;
  /** IDs of files; for a store path that is not mounted its label, `M00`. */
  wrong: { id: string; problem: string }[];
}

/**
 * Reads every file, compares it with its name, and compares the files with the index. Changes nothing, and may run while the
 * node runs: differences are checked again after 2 seconds, because an upload may have been under way.
 */
export async function verify(settings: Settings): Promise<VerifyReport> {
  const report: VerifyReport = { files: 0, bytes: 0, foreign: 0, unchecked: 0, wrong: [] };
  enterDataDirectory(settings);
  const database = join(settings.data, 'index.db');
  const index = existsSync(database) ? new Index(database, undefined, { upgrades: false }) : undefined;
  try {
    const suspects: FoundFile[] = [];
    const reader = new ContentReader();
    const paths = settings.storePaths.map((root, number) => new StorePath(number, root, settings.reserve));
    const missing = new Set(paths.filter(({ number, root }) => index?.storePaths.find(number) && !readMarker(root)));
    for (const { number, root } of missing) {
      report.wrong.push({ id: storePathLabel(number), problem: `${root}: ${MARKER_MISSING}` });
    }
    const directories = paths.flatMap((path) => [...directoriesOf(path)].map((directory) => ({ path, directory })));
    const bar = progressBar('{bar} {percentage}% | files: {files}, {size}', directories.length);
    const ids = groupIds(settings);
    for (const { path, directory } of directories) {
      for (const file of filesIn(path, directory, ids)) {
        if ((await problemOf(file, path, index, report, reader)) !== undefined) suspects.push(file);
      }
      bar?.increment(1, { files: report.files, size: formatBytes(report.bytes) });
    }
    bar?.stop();
    if (suspects.length > 0) await sleep(SECOND_LOOK_MILLISECONDS);
    for (const file of suspects) {
      const path = paths[file.storePath] as StorePath;
      const problem = await problemOf(file, path, index, undefined, new ContentReader());
      const id = fileId.join(settings.group, file.storePath, file.directory, file.name);
      if (problem !== undefined) report.wrong.push({ id, problem });
    }
    // Files on an unmounted disk are not lost.
    const isLost = ({ storePath, directory, name }: FileRecord) => {
      const path = paths[storePath];
      return path === undefined || (!missing.has(path) && path.sizeOf(directory, name) === undefined);
    };
    const lost: FileRecord[] = [];
    for (const record of index?.all() ?? []) if (isLost(record)) lost.push(record);
    if (lost.length > 0) await sleep(SECOND_LOOK_MILLISECONDS);
    for (const record of lost) {
      if (!isLost(record) || !index?.find(record.key)) continue;
      const id = fileId.join(settings.group, record.storePath, record.directory, record.name);
      report.wrong.push({ id, problem: 'the index has it, the disk does not' });
    }
  } finally {
    index?.close();
  }
  return report;
}

/** Describes what is wrong with a file; undefined if nothing is. Counts the file in `report`, if given. */
async function problemOf(
  file: FoundFile,
  path: StorePath,
  index: Index | undefined,
  report: VerifyReport | undefined,
  reader: ContentReader,
): Promise<string | undefined> {
  if (isMetadata(file.name) && !file.ours && !index?.find(keyOf(file.name))) return undefined; // FastDFS's
  try {
    const content = await reader.read(filePath(path.root, file.directory, file.name));
    const found = index?.find(keyOf(file.name));
    const record = found?.name === file.name ? found : undefined;
    if (report) {
      report.files++;
      report.bytes += content.size;
      // Files of a node that has left the group have records.
      if (!file.ours && !record) report.foreign++;
      if (!tellsContent(file) && !record) report.unchecked++;
    }
    const difference = differenceOf(file, record, content);
    if (difference !== undefined) return difference;
    if (index && file.ours && !index.find(keyOf(file.name))) return 'the disk has it, the index does not';
    return undefined;
  } catch (error) {
    if (isNotFound(error)) return undefined; // deleted in the meantime
    return `cannot be read: ${(error as Error).message}`;
  }
}

function differenceOf(file: FoundFile, record: FileRecord | undefined, content: Content): string | undefined {
  if (record) return differenceFrom(record, content);
  return tellsContent(file) ? differenceFromName(file.name, content) : undefined;
}
