import { Command, CommanderError } from 'commander';
import fileId from '../../file-id/file-id.js';
import { includeLines, writeIncludes } from '../../nginx/write.js';
import { makeDataDirectory } from '../access.js';
import { readKey } from '../config/key.js';
import { loadSettings, SettingsError } from '../config/settings.js';
import { version } from '../version.js';
import { Client } from './client.js';
import { CommandFailed, UsedWrongly } from './errors.js';
import { formatBytes, formatTable, printJson, progressBar } from './output.js';
import { asOwner, ownerOf } from './owner.js';
import { rebuild } from './rebuild.js';
import { scrub } from './scrub.js';
import { start } from './start.js';
import { formatStatus, troublesOf } from './status.js';
import { verify } from './verify.js';

/** Options that all commands share. */
interface Options {
  config?: string;
  json?: boolean;
  server?: string;
  output?: string;
}

const program = new Command('fidfs')
  .description('A distributed file store made of nginx and Node.')
  .version(version)
  .exitOverride()
  .configureHelp({ showGlobalOptions: true });
addExamples(program, ['fidfs start', 'fidfs upload photo.jpg', 'fidfs upload --help']);

function addExamples(to: Command, examples: string[]): Command {
  return to.addHelpText('after', `\nExamples:\n${examples.map((example) => `  $ ${example}`).join('\n')}`);
}

/** Adds a command with the options and the examples that every one has. */
function command(usage: string, description: string, examples: string[]): Command {
  const made = program
    .command(usage)
    .description(description)
    .option('-c, --config <file>', 'settings file (default: FIDFS_CONFIG)')
    .option('--json', 'print one JSON document');
  return addExamples(made, examples);
}

function remote(usage: string, description: string, examples: string[]): Command {
  return command(usage, description, examples).option(
    '-s, --server <url>',
    'the node (default: this machine\'s, from "listen")',
  );
}

/** A lone upload waits for a sync of its own; several under way share one. */
const AT_ONCE = 8;

/**
 * Does something for each of several things, some at a time; tells of them in their order; prints an array with --json;
 * fails at the end when one failed.
 */
async function forEach<T>(
  things: string[],
  options: Options,
  act: (thing: string) => Promise<T>,
  show: (result: T) => string,
): Promise<void> {
  const results: (T | { input: string; error: string })[] = [];
  const waiting = things.values();
  const underWay: Promise<{ thing: string; result: T } | { thing: string; error: unknown }>[] = [];
  const begin = () => {
    const { value: thing, done } = waiting.next();
    if (done) return;
    const outcome = act(thing).then(
      (result) => ({ thing, result }),
      (error: unknown) => ({ thing, error }),
    );
    underWay.push(outcome);
  };
  for (let count = 0; count < AT_ONCE; count++) begin();
  let status = 0;
  for (let next = underWay.shift(); next; next = underWay.shift()) {
    const outcome = await next;
    begin();
    if ('result' in outcome) {
      results.push(outcome.result);
      if (!options.json) process.stdout.write(show(outcome.result));
      continue;
    }
    const { thing, error } = outcome;
    if (!(error instanceof CommandFailed) && !fileId.isFileIdError(error)) throw error;
    // What is no ID was written wrongly, whatever became of the others.
    status = fileId.isFileIdError(error) ? 2 : Math.max(status, 1);
    results.push({ input: thing, error: error.message });
    if (!options.json) process.stderr.write(`fidfs: ${thing}: ${error.message}\n`);
  }
  if (options.json) printJson(results);
  if (status > 0) process.exitCode = status;
}

command('start', 'Run nginx and the daemon in the foreground.', [
  'fidfs start',
  'FIDFS_LISTEN=0.0.0.0:80 FIDFS_DATA=/srv/fidfs fidfs start',
]).action((options: Options) => start(options.config));

remote('upload <file...>', 'Upload files and print their IDs.', [
  'fidfs upload photo.jpg',
  'fidfs upload --json *.jpg > ids.json',
]).action(async (files: string[], options: Options) => {
  const client = new Client(loadSettings(options.config), options.server);
  const several = files.length > 1;
  // Of several files the IDs that scroll by are the progress; where those go into a file, the files are counted.
  const count = several && !process.stdout.isTTY ? progressBar('{bar} {value}/{total} files', files.length) : undefined;
  const act = async (file: string) => {
    let bar: ReturnType<typeof progressBar>;
    const progress = (bytes: number, total: number) => {
      if (several) return;
      bar ??= progressBar(`${file} {bar} {percentage}%`, total);
      bar?.increment(bytes);
    };
    try {
      return await client.upload(file, progress);
    } finally {
      bar?.stop();
      count?.increment();
    }
  };
  await forEach(files, options, act, ({ id }) => `${id}\n`);
  count?.stop();
});

remote('get <id>', 'Download a file and check it against its ID.', [
  'fidfs get group1/M00/00/00/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg',
  'fidfs get -o photo.jpg group1/M00/00/00/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg',
])
  .option('-o, --output <file>', 'where to (default: the last part of the ID; - is standard output)')
  .action(async (id: string, options: Options) => {
    const target = options.output ?? decoded(id).name;
    await new Client(loadSettings(options.config), options.server).get(id, target);
    if (options.json && target !== '-') printJson({ id, file: target });
    else if (target !== '-') process.stdout.write(`${target}\n`);
  });

remote('delete <id...>', 'Delete files for good.', [
  'fidfs delete group1/M00/00/00/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg',
]).action(async (ids: string[], options: Options) => {
  const client = new Client(loadSettings(options.config), options.server);
  const act = async (id: string) => {
    fileId.decode(id);
    const deletion = await client.delete(id);
    if (deletion && !options.json) {
      const { copies, wanted } = deletion;
      process.stderr.write(
        `fidfs: ${id}: ${copies} of ${wanted} nodes know of the deletion so far; the others are told when they are back\n`,
      );
    }
    return { id, deleted: true, ...(deletion && { copies: deletion.copies, wanted: deletion.wanted }) };
  };
  await forEach(ids, options, act, ({ id }) => `deleted ${id}\n`);
});

command('info <id...>', 'Say what IDs mean; needs no node.', [
  'fidfs info group1/M00/00/00/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg',
]).action((ids: string[], options: Options) =>
  forEach(
    ids,
    options,
    async (id) => fileId.describe(id),
    (info) =>
      formatTable(
        Object.entries({
          ...info,
          source: Object.values(info.source)[0],
          size: info.size ?? 'not told',
          crc32: info.crc32 ?? 'not told',
        }).map(([name, text]) => [name, String(text)]),
      ),
  ),
);

command('status', 'Say how this node and its peers are.', ['fidfs status', 'fidfs status --json']).action(
  async (options: Options) => {
    const status = await new Client(loadSettings(options.config), undefined).status();
    const troubles = troublesOf(status);
    if (troubles.length > 0) process.exitCode = 1;
    if (options.json) printJson(status);
    else process.stdout.write(formatStatus(status, troubles));
  },
);

command('verify', 'Read every file and compare it with its ID and the index.', ['fidfs verify']).action(
  async (options: Options) => {
    const report = await verify(loadSettings(options.config));
    if (report.wrong.length > 0) process.exitCode = 1;
    if (options.json) {
      printJson(report);
      return;
    }
    for (const { id, problem } of report.wrong) process.stdout.write(`${id}: ${problem}\n`);
    process.stdout.write(
      `${report.files} files (${report.foreign} foreign), ${formatBytes(report.bytes)} read; ` +
        `${report.unchecked} whose name does not tell; ${report.wrong.length} wrong\n`,
    );
  },
);

command('scrub', 'Let the running node read and check all its files now, and mend what is bad.', [
  'fidfs scrub',
]).action(async (options: Options) => {
  const report = await scrub(new Client(loadSettings(options.config), undefined));
  if (report.bad > 0) process.exitCode = 1;
  if (options.json) printJson(report);
  else {
    process.stdout.write(
      `${report.files} files, ${formatBytes(report.bytes)} read; ${report.bad} bad, now to be fetched from peers; ` +
        `${report.found} that had no record\n`,
    );
  }
});

command('rebuild', 'Make the index anew from the store paths; the node must be stopped.', ['fidfs rebuild']).action(
  async (options: Options) => {
    const report = await rebuild(loadSettings(options.config));
    if (options.json) {
      printJson(report);
      return;
    }
    for (const file of report.quarantined) process.stdout.write(`damaged, now in quarantine: ${file}\n`);
    for (const id of report.duplicates) process.stdout.write(`left out, because its key exists twice: ${id}\n`);
    process.stdout.write(
      `${report.files} files, ${formatBytes(report.bytes)}, ${report.tombstones} deletions; ${report.foreign} foreign files left alone\n`,
    );
  },
);

command('key', 'Print the upload key.', [
  'curl -H "Authorization: Bearer $(fidfs key)" -F file=@photo.jpg http://127.0.0.1:8080/upload',
]).action((options: Options) => {
  const key = readKey(loadSettings(options.config));
  if (key === undefined) throw new CommandFailed('there is no key yet; the first start makes one');
  if (options.json) printJson({ key });
  else process.stdout.write(`${key}\n`);
});

command('nginx', 'Write the include files for an nginx that is already there.', ['fidfs nginx']).action(
  (options: Options) => {
    const settings = loadSettings(options.config);
    makeDataDirectory(settings);
    asOwner(ownerOf(settings.data), () => writeIncludes(settings));
    const lines = includeLines(settings);
    if (options.json) printJson(lines);
    else process.stdout.write(`in http:    ${lines.http}\nin server:  ${lines.server}\n`);
  },
);

function decoded(id: string) {
  try {
    return fileId.decode(id);
  } catch (error) {
    if (fileId.isFileIdError(error)) throw new UsedWrongly(`${id}: ${error.message}`);
    throw error;
  }
}

/** Runs the command line; the exit status is 0 (done), 1 (failed) or 2 (used wrongly). */
export async function main(argv: string[]): Promise<void> {
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 2;
      return;
    }
    process.stderr.write(`fidfs: ${(error as Error).message}\n`);
    process.exitCode = error instanceof SettingsError || error instanceof UsedWrongly ? 2 : 1;
  }
}
