import { join } from 'node:path';
import { Argument, Command, CommanderError } from 'commander';
import fileId from '../../file-id/file-id.js';
import type { Settings } from '../config/settings.js';
import { SettingsError } from '../config/settings-error.js';
import { version } from '../version.js';
import { counted } from '../words.js';
import type { ExportOptions } from './archive/export.js';
import type { ImportOptions } from './archive/importing.js';
import type { AuditOptions } from './audit/audit.js';
import type { Client } from './client.js';
import { CommandFailed, UsedWrongly } from './errors.js';
import type { EventsOptions } from './events.js';
import type { ListOptions } from './list.js';
import { formatBytes, formatTable, guardOutput, print, printJson } from './output.js';
import type { SignOptions } from './sign.js';
import type { Options } from './transfer.js';

/*
 * An action imports what it needs when it runs: the modules of all commands take longer to load than most commands take.
 */

const program = new Command('fidfs')
  .description('A distributed file store made of nginx and Node.')
  .version(version)
  .exitOverride()
  .configureHelp({ showGlobalOptions: true })
  .configureOutput({ writeOut: print, outputError: (text, write) => write(inOurWords(text)) })
  .showHelpAfterError('"fidfs --help" lists the commands');
addExamples(program, ['fidfs start', 'fidfs upload photo.jpg', 'fidfs upload --help']);

/** Rewrites commander's usage errors in the form of the other errors. */
function inOurWords(text: string): string {
  const [fault = '', guess = ''] = text.replace(/^error: /, '').split(/\n\(Did you mean (.*)\?\)/);
  return `fidfs: ${fault.trim()}${guess && `; did you mean ${guess}?`}\n`;
}

function addExamples(to: Command, examples: string[]): Command {
  return to.addHelpText('after', `\nExamples:\n${examples.map((example) => `  $ ${example}`).join('\n')}`);
}

/** Adds a command with the common options and its examples. */
function command(usage: string, description: string, examples: string[]): Command {
  const made = program
    .command(usage)
    .description(description)
    .option('-c, --config <file>', 'settings file (default: FIDFS_CONFIG)')
    .option('--json', 'print one JSON document')
    .showHelpAfterError(`"fidfs ${usage.split(' ', 1)[0]} --help" shows the usage`);
  return addExamples(made, examples);
}

function remote(usage: string, description: string, examples: string[]): Command {
  return command(usage, description, examples).option(
    '-s, --server <url>',
    'the node (default: this machine\'s, from "listen")',
  );
}

async function settingsOf({ config }: Options): Promise<Settings> {
  return (await import('../config/settings.js')).loadSettings(config);
}

/** A client of the node of these settings. */
async function clientOf(options: Options): Promise<Client> {
  const { Client } = await import('./client.js');
  return new Client(await settingsOf(options), undefined);
}

command('start', 'Run nginx and the daemon in the foreground.', [
  'fidfs start',
  'FIDFS_LISTEN=0.0.0.0:80 FIDFS_DATA=/srv/fidfs fidfs start',
]).action(async (options: Options) => (await import('./start.js')).start(options.config));

remote('upload <file...>', 'Upload files, directories or standard input, and print the IDs.', [
  'fidfs upload photo.jpg',
  'fidfs upload --json *.jpg > ids.json',
  'fidfs upload pictures > ids-and-paths.txt',
  'mysqldump shop | gzip | fidfs upload --filename shop.sql.gz -',
])
  .option('-f, --filename <name>', 'the name of standard input: the ID gets its extension')
  .action(async (inputs: string[], options: Options) => (await import('./transfer.js')).uploadAll(inputs, options));

remote('get <id...>', 'Download files and check them against their IDs.', [
  'fidfs get group1/M00/00/00/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg',
  'fidfs get -o photo.jpg group1/M00/00/00/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg',
  'fidfs get -o pictures $(cut -d" " -f1 ids-and-paths.txt)',
])
  .option('-o, --output <path>', 'a file, or an existing directory (default: the current one); - is standard output')
  .action(async (ids: string[], options: Options) => (await import('./transfer.js')).getAll(ids, options));

remote('delete <id...>', 'Delete files for good.', [
  'fidfs delete group1/M00/00/00/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg',
  'fidfs delete - < ids.txt',
]).action(async (ids: string[], options: Options) => (await import('./many.js')).deleteFiles(ids, options));

remote('stat <id...>', 'Print whether files are stored, and their size, time and SHA-256.', [
  'fidfs stat group1/M00/00/00/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg',
  'fidfs stat --json - < ids.txt',
]).action(async (ids: string[], options: Options) => (await import('./many.js')).statFiles(ids, options));

remote('list', 'List the files of the cluster by time, and print the IDs.', [
  'fidfs list --since 1h',
  'fidfs list --ext jpg --csv > pictures.csv',
  'fidfs list --json --limit 10',
])
  .option('--since <when>', 'files from then on: 1h ago, or a time such as 2026-11-22T08:38:49Z')
  .option('--until <when>', 'files before then')
  .option('-g, --group <group>', 'files of this group (default: of all)')
  .option('--ext <extension>', 'files with this extension, without its dot')
  .option('--oldest', 'the oldest first (default: the newest)')
  .option('-n, --limit <number>', 'the largest number of files (default: all)')
  .option('--csv', 'print a CSV table')
  .action(async (options: ListOptions) => (await import('./list.js')).list(options));

command('events', 'Print the events of the cluster from NATS, one JSON document a line.', [
  'fidfs events --follow',
  'fidfs events --from 1h',
  'fidfs events --from 2026-11-22T08:38:49Z --follow',
])
  .option('-f, --follow', 'print further events as they come')
  .option('--from <when>', 'events from then on: 1h ago, or a time such as 2026-11-22T08:38:49Z (default: now)')
  .action(async (options: EventsOptions) => (await import('./events.js')).events(options));

remote('audit <list>', 'Compare a list of IDs with the store: what is missing, and what the list does not name.', [
  'fidfs audit ids.txt',
  'mysql -N -e "SELECT path FROM files" shop | fidfs audit --csv - > differences.csv',
  'fidfs audit --delete-unnamed --older-than 7d ids.txt',
])
  .option('--older-than <time>', 'judge only files that are older than the list by this time, such as 7d')
  .option('--all-groups', 'judge also groups that the list names no file of')
  .option('--slaves', 'slaves need names of their own (default: they are named with their master)')
  .option('--csv', 'print a CSV table')
  .option('--delete-unnamed', 'ask, and delete what the list does not name')
  .option('--yes', 'do not ask')
  .option('--force', 'delete even if the list looks wrong or cut off')
  .option('--temp <directory>', 'where the list is sorted (default: TMPDIR, or /tmp)')
  .action(async (list: string, options: AuditOptions) => (await import('./audit/audit.js')).audit(list, options));

remote('export <directory>', 'Write all files of the cluster into a directory, with a list of them.', [
  'fidfs export /backup/photos',
  'fidfs export --group group1 --server http://10.0.0.2:8080 group1',
])
  .option('-g, --group <group>', 'files of this group (default: of all)')
  .option('--no-metadata', 'leave out metadata, which takes a request for each file')
  .option('--temp <directory>', 'where the list of an earlier export is sorted (default: TMPDIR, or /tmp)')
  .action(async (directory: string, options: ExportOptions) =>
    (await import('./archive/export.js')).exportTo(directory, options),
  );

remote('import [directory]', 'Upload the files of an export, of another list, or of a list of addresses.', [
  'fidfs import /backup/photos',
  'fidfs import --urls addresses.txt --map new-ids.csv',
])
  .option(
    '-m, --map <file>',
    'the table of old and new IDs, to which lines are appended (default: map.csv in the directory)',
  )
  .option('--urls <list>', 'a list of http and https addresses, one a line; - is standard input')
  .option('-g, --group <group>', 'the group that the files go to (default: any)')
  .option('-n, --at-once <number>', 'uploads at the same time', '4')
  .option('--timeout <time>', 'the longest time without a byte from the server of an address', '30s')
  .option('--temp <directory>', 'where the list is sorted (default: TMPDIR, or /tmp)')
  .action(async (directory: string | undefined, options: ImportOptions) =>
    (await import('./archive/import.js')).importFiles(directory, options),
  );

command('info <id...>', 'Print what IDs contain; needs no node.', [
  'fidfs info group1/M00/00/00/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg',
]).action(async (ids: string[], options: Options) => {
  const { forEach } = await import('./for-each.js');
  await forEach(
    ids.map((input) => ({ input })),
    options,
    async ({ input: id }) => fileId.describe(id),
    (info) =>
      formatTable(
        Object.entries({
          ...info,
          source: Object.values(info.source)[0],
          size: info.size ?? 'not in the ID',
          crc32: info.crc32 ?? 'not in the ID',
        }).map(([name, text]) => [name, String(text)]),
      ),
  );
});

command('sign <id>', 'Print the address of a private file, with a signature; needs no node.', [
  'fidfs sign --for 1h group1/M00/00/00/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg',
  'fidfs sign --for 7d --download "Invoice 5.pdf" group1/M00/00/00/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.pdf',
])
  .requiredOption('--for <time>', 'how long the link is valid, such as 10m, 1h or 7d')
  .option('--download <name>', 'the name under which a browser saves the file')
  .option('--preset <name>', 'link to the picture by this preset instead of the file')
  .action(async (id: string, options: SignOptions) => (await import('./sign.js')).sign(id, options));

command('status', 'Print the state of this node and its peers.', ['fidfs status', 'fidfs status --json']).action(
  async (options: Options) => {
    const { findingsOf, formatStatus } = await import('./status.js');
    const status = await (await clientOf(options)).status();
    const findings = findingsOf(status);
    if (findings.length > 0) process.exitCode = 1;
    if (options.json) printJson(status);
    else print(formatStatus(status, findings));
  },
);

command('reload', 'Let the running node read its settings again, without a restart.', ['fidfs reload']).action(
  async (options: Options) => (await import('./reload.js')).reload(options),
);

command('verify', 'Read every file and compare it with its ID and the index.', ['fidfs verify']).action(
  async (options: Options) => {
    const { verify } = await import('./verify.js');
    const report = await verify(await settingsOf(options));
    if (report.wrong.length > 0) process.exitCode = 1;
    if (options.json) {
      printJson(report);
      return;
    }
    for (const { id, problem } of report.wrong) print(`${id}: ${problem}\n`);
    print(
      `${counted(report.files, 'file')} (${report.foreign} foreign), ${formatBytes(report.bytes)} read; ` +
        `${report.unchecked} whose names contain no checksum; ${report.wrong.length} wrong\n`,
    );
  },
);

/** How the corrupt files that a scrub found are repaired. */
function whatBecomes(bad: number, isAlone: boolean): string {
  if (bad === 0) return '';
  if (!isAlone) return ', now to be fetched from peers';
  return `, and no other node to fetch ${bad === 1 ? 'it' : 'them'} from ("fidfs status" says more)`;
}

command('scrub', 'Make the running node read and check all its files now; in a group, repair bad ones.', [
  'fidfs scrub',
]).action(async (options: Options) => {
  const { scrub } = await import('./scrub.js');
  const { report, isAlone } = await scrub(await clientOf(options));
  if (report.bad > 0) process.exitCode = 1;
  if (options.json) printJson(report);
  else {
    print(
      `${counted(report.files, 'file')}, ${formatBytes(report.bytes)} read; ${report.bad} bad${whatBecomes(report.bad, isAlone)}; ` +
        `${report.found} that had no record\n`,
    );
  }
});

command(
  'adopt',
  'Make the running node take in the files that FastDFS stored: copied, checked and repaired from then on.',
  ['fidfs adopt --dry-run', 'fidfs adopt', 'fidfs adopt --names ids-of-packed-files.txt'],
)
  .option('-n, --dry-run', 'read and check the files, change nothing')
  .option('--names <file...>', 'IDs of packed files, one a line, besides those in the binlogs of FastDFS')
  .action(async (options: Options & { dryRun?: boolean; names?: string[] }) => {
    const { adopt, formatAdoption } = await import('./adopt.js');
    const report = await adopt(await clientOf(options), options.dryRun === true, options.names ?? []);
    if (report.left + report.busy + report.unnamed > 0) process.exitCode = 1;
    if (options.json) printJson(report);
    else print(formatAdoption(report));
  });

command('rebuild', 'Rebuild the index from the store paths; the node must be stopped.', [
  'fidfs rebuild',
  'fidfs rebuild --new-disk /disk2/fidfs',
])
  .option('--new-disk <directory...>', 'store paths that may be new and empty, in place of a lost disk')
  .action(async (options: Options & { newDisk?: string[] }) => {
    const { rebuild } = await import('./rebuild.js');
    const report = await rebuild(await settingsOf(options), options.newDisk);
    if (options.json) {
      printJson(report);
      return;
    }
    for (const file of report.quarantined) print(`damaged, now in quarantine: ${file}\n`);
    for (const id of report.duplicates) print(`left out, because its key exists twice: ${id}\n`);
    print(
      `${counted(report.files, 'file')}, ${formatBytes(report.bytes)}, ${counted(report.tombstones, 'deletion')}; ` +
        `${counted(report.foreign, 'foreign file')} left alone\n`,
    );
  });

command('key', 'Print the upload key.', [
  'curl -H "Authorization: Bearer $(fidfs key)" -F file=@photo.jpg http://127.0.0.1:8080/upload',
]).action(async (options: Options) => {
  const { readKey } = await import('../config/key.js');
  const settings = await settingsOf(options);
  const key = readKey(settings);
  if (key === undefined) {
    const file = join(settings.data, 'key');
    throw new CommandFailed(
      `there is no key yet; the first start makes ${file}. FIDFS_DATA names another data directory, --config a settings file`,
    );
  }
  if (options.json) printJson({ key });
  else print(`${key}\n`);
});

const keys = addExamples(
  program
    .command('keys')
    .description('Make, list and remove named keys, each with rights of its own; the node may run or not.'),
  ['fidfs keys add web --rights upload,delete', 'fidfs keys list', 'fidfs keys remove web'],
);

command('nginx', 'Write the include files for an nginx that is already there.', ['fidfs nginx']).action(
  async (options: Options) => {
    const { makeDataDirectory } = await import('../access.js');
    const { includeLines, writeIncludes } = await import('../../nginx/write.js');
    const { asOwner, ownerOf } = await import('./owner.js');
    const settings = await settingsOf(options);
    makeDataDirectory(settings);
    asOwner(ownerOf(settings.data), () => writeIncludes(settings));
    const lines = includeLines(settings);
    if (options.json) printJson(lines);
    else print(`in http:    ${lines.http}\nin server:  ${lines.server}\n`);
  },
);

addExamples(
  program
    .command('service')
    .addArgument(new Argument('<action>').choices(['install', 'remove']))
    .description('Let systemd run a node, as a system user of its own, from /etc/fidfs/fidfs.json; needs root.')
    .showHelpAfterError('"fidfs service --help" shows the usage'),
  ['sudo fidfs service install', 'sudo fidfs service remove'],
).action(async (action: 'install' | 'remove') => (await import('./service.js')).service(action));

/** Runs the command line. Sets the exit status: 0 (done), 1 (failed) or 2 (used wrongly). */
export async function main(argv: string[]): Promise<void> {
  guardOutput();
  try {
    if (argv.includes('keys')) (await import('./keys.js')).addKeysCommands(keys);
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
