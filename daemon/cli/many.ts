import { createInterface } from 'node:readline';
import { loadSettings } from '../config/settings.js';
import { counted } from '../words.js';
import { Client, type ManyResult } from './client.js';
import { UsedWrongly } from './errors.js';
import { isStandardInput, standardInput } from './input.js';
import { print, progressBar } from './output.js';
import { deleteAll, type Options } from './transfer.js';

/** IDs of a request. */
const BATCH = 1000;

/** Deletes the files whose IDs are arguments one by one, or those of standard input (`-`) in batches. */
export async function deleteFiles(ids: string[], options: Options): Promise<void> {
  if (!ids.some(isStandardInput)) return deleteAll(ids, options);
  return inBatches('delete', ids, options, (result) => {
    if (result.status === 'accepted') {
      const { copies = 0, wanted = 0 } = result as { copies?: number; wanted?: number };
      process.stderr.write(
        `fidfs: ${result.id}: ${copies} of ${counted(wanted, 'node')} know of the deletion so far\n`,
      );
    }
    return `deleted ${result.id}\n`;
  });
}

/** Says what is known of files: size, time and SHA-256. */
export async function statFiles(ids: string[], options: Options): Promise<void> {
  return inBatches('stat', ids, options, (result) => {
    const { id, size, created, sha256 } = result as {
      id: string;
      size?: number;
      created?: string;
      sha256?: string | null;
    };
    return `${id} ${size} ${created} ${sha256 ?? '-'}\n`;
  });
}

/**
 * Sends the IDs in batches, and prints the results in their order; with `json` as one array. Sets the exit status to 2 if an ID is
 * malformed, to 1 if another one failed. Memory does not grow with the number of IDs.
 */
async function inBatches(
  action: 'delete' | 'stat',
  ids: readonly string[],
  { json, ...options }: Options,
  show: (result: ManyResult) => string,
): Promise<void> {
  const isInput = ids.some(isStandardInput);
  if (isInput && ids.length > 1) throw new UsedWrongly('- (standard input) is the only argument then');
  const client = new Client(loadSettings(options.config), options.server);
  const bar = isInput && !process.stdout.isTTY ? progressBar('{value} files', 0) : undefined;
  let status = 0;
  let printed = 0;
  try {
    for await (const batch of batchesOf(isInput ? linesOfInput() : ids)) {
      const results = await client.many(action, batch);
      const lines: string[] = [];
      for (const result of results) {
        const isDone = ['deleted', 'accepted', 'stored'].includes(result.status);
        if (!isDone) status = Math.max(status, result.status === 'bad-id' ? 2 : 1);
        if (json) lines.push(`${printed === 0 ? '[' : ','}\n  ${JSON.stringify(result)}`);
        else if (isDone) lines.push(show(result));
        else process.stderr.write(`fidfs: ${result.id}: ${'detail' in result ? result.detail : result.status}\n`);
        printed++;
      }
      print(lines.join(''));
      bar?.increment(results.length);
    }
    if (json) print(printed === 0 ? '[]\n' : '\n]\n');
  } finally {
    bar?.stop();
  }
  if (status > 0) process.exitCode = status;
}

/** The first word of each line that has one: the lines of `fidfs upload DIRECTORY` have the path after the ID. */
async function* linesOfInput(): AsyncGenerator<string> {
  for await (const line of createInterface({ input: standardInput(), crlfDelay: Number.POSITIVE_INFINITY })) {
    const [id = ''] = line.trim().split(/\s/, 1);
    if (id !== '') yield id;
  }
}

async function* batchesOf(ids: AsyncIterable<string> | readonly string[]): AsyncGenerator<string[]> {
  let batch: string[] = [];
  for await (const id of ids) {
    // The longest ID has 101 characters; longer lines are answered as malformed, and must not make the body too long.
    const text = id.slice(0, 200);
    batch.push(text);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
