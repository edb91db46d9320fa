import { join } from 'node:path';
import fileId from '../../file-id/file-id.js';
import { loadSettings } from '../config/settings.js';
import { counted } from '../words.js';
import { Client } from './client.js';
import { CommandFailed, UsedWrongly } from './errors.js';
import { forEach } from './for-each.js';
import { isStandardInput, standardInput } from './input.js';
import { progressBar } from './output.js';
import { isDirectory, type Source, sourcesOf } from './sources.js';

/*
 * The commands upload, get and delete. Each continues with the other files if one fails.
 */

/** Options that all commands share. */
export interface Options {
  config?: string;
  json?: boolean;
  server?: string;
  output?: string;
  filename?: string;
}

/** Uploads files, directories and standard input; prints the IDs. */
export async function uploadAll(inputs: string[], options: Options): Promise<void> {
  const standardInputs = inputs.filter(isStandardInput).length;
  if (standardInputs > 1) throw new UsedWrongly('standard input can be read once; write - once');
  if (options.filename !== undefined && standardInputs === 0)
    throw new UsedWrongly('--filename is the name of standard input; write - for that, too');
  const client = new Client(loadSettings(options.config), options.server);
  const sources = sourcesOf(inputs);
  const isTree = inputs.some((input) => !isStandardInput(input) && isDirectory(input));
  const several = sources.length > 1;
  // For several files the printed IDs show the progress; a progress bar is shown only if they are redirected.
  const count =
    several && !process.stdout.isTTY ? progressBar('{bar} {value}/{total} files', sources.length) : undefined;
  const act = async ({ input, refusal }: Source) => {
    let bar: ReturnType<typeof progressBar>;
    const progress = (bytes: number, total: number) => {
      if (several) return;
      bar ??= progressBar(`${input} {bar} {percentage}%`, total);
      bar?.increment(bytes);
    };
    try {
      if (refusal !== undefined) throw new CommandFailed(refusal);
      const sent = isStandardInput(input)
        ? client.uploadStream(standardInput(), options.filename)
        : client.upload(input, progress);
      return { input, ...(await sent) };
    } finally {
      bar?.stop();
      count?.increment();
    }
  };
  await forEach(sources, options, act, ({ id, input }) => (isTree ? `${id} ${input}\n` : `${id}\n`));
  count?.stop();
}

/** Downloads files into a file, a directory or standard output. */
export async function getAll(ids: string[], { output, ...options }: Options): Promise<void> {
  const different = [...new Set(ids)];
  const several = different.length > 1;
  const isInto = output === undefined || (output !== '-' && isDirectory(output));
  if (several && !isInto) throw new UsedWrongly(`${output}: several files need an existing directory`);
  const client = new Client(loadSettings(options.config), options.server);
  const taken = new Set<string>();
  const act = async ({ input: id }: { input: string }) => {
    const { name } = fileId.decode(id);
    const file = isInto ? join(output ?? '', name) : output;
    if (taken.has(file)) throw new CommandFailed(`another file is written to ${file}`);
    taken.add(file);
    await client.get(id, file);
    return { id, file };
  };
  const isPiped = output === '-';
  await forEach(
    different.map((input) => ({ input })),
    { ...options, json: options.json === true && !isPiped },
    act,
    ({ file }) => (isPiped ? '' : `${file}\n`),
  );
}

/** Deletes files; reports on standard error if fewer nodes than promised have recorded a deletion. */
export async function deleteAll(ids: string[], options: Options): Promise<void> {
  const client = new Client(loadSettings(options.config), options.server);
  const act = async ({ input: id }: { input: string }) => {
    fileId.decode(id);
    const deletion = await client.delete(id);
    if (deletion && !options.json) {
      const { copies, wanted } = deletion;
      process.stderr.write(
        `fidfs: ${id}: ${copies} of ${counted(wanted, 'node')} ${copies === 1 ? 'knows' : 'know'} of the deletion so far; the others are told when they are back\n`,
      );
    }
    return { id, deleted: true, ...(deletion && { copies: deletion.copies, wanted: deletion.wanted }) };
  };
  await forEach(
    [...new Set(ids)].map((input) => ({ input })),
    options,
    act,
    ({ id }) => `deleted ${id}\n`,
  );
}
