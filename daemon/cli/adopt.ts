import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AdoptionReport } from '../replication/adoption.js';
import { counted } from '../words.js';
import type { Client } from './client.js';
import { CommandFailed } from './errors.js';
import { formatBytes, progressBar } from './output.js';

const LOOK_MILLISECONDS = 200;

/**
 * Lets the running node adopt the files of FastDFS, and shows its progress until the end. Rejects with CommandFailed.
 * @param lists files with names of packed files
 */
export async function adopt(client: Client, dryRun: boolean, lists: readonly string[]): Promise<AdoptionReport> {
  await client.adopt({ dryRun, names: lists.map((list) => resolve(list)) });
  let bar: ReturnType<typeof progressBar>;
  try {
    for (;;) {
      const { progress, last, failure } = (await client.status()).adoption;
      if (last) return last;
      if (failure !== null) throw new CommandFailed(`the adoption was aborted: ${failure}`);
      if (progress) {
        bar ??= progressBar('{bar} {percentage}% | files: {files}, {size}', progress.of);
        bar?.update(progress.directories, { files: progress.files, size: formatBytes(progress.bytes) });
      }
      await sleep(LOOK_MILLISECONDS);
    }
  } finally {
    bar?.stop();
  }
}

/** What an adoption did, in lines. */
export function formatAdoption(report: AdoptionReport): string {
  const {
    dryRun,
    files,
    bytes,
    packed,
    symbolic,
    metadata,
    deduplicated,
    copies,
    busy,
    left,
    problems,
    unnamed,
    slots,
  } = report;
  const lines = problems.map(({ id, reason }) => `left as it is: ${id}: ${reason}`);
  if (left > problems.length) lines.push(`left as they are: ${left - problems.length} more`);
  for (const slot of slots) lines.push(`packed file of unknown name: ${slot}`);
  if (unnamed > slots.length) lines.push(`packed files of unknown names: ${unnamed - slots.length} more`);
  if (unnamed > 0) lines.push('Give their IDs in a file, one a line: fidfs adopt --names FILE');
  for (const [storePath, size] of dryRun ? Object.entries(copies) : [])
    lines.push(`${formatBytes(size)} of space will be needed on ${storePath} for copies of packed files and links`);
  if (busy > 0) lines.push(`${counted(busy, 'file')} changed a moment ago: run fidfs adopt again`);
  lines.push(
    `${counted(files, 'file')} (${packed} packed, ${counted(symbolic, 'symbolic link')}), ${counted(metadata, 'metadata file')}, ` +
      `${formatBytes(bytes)} ${dryRun ? 'to be adopted' : 'adopted'}; ${deduplicated} replaced by hard links; ${left} left as they are`,
  );
  return `${lines.join('\n')}\n`;
}
