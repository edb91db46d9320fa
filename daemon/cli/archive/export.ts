import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, lstatSync, mkdirSync, realpathSync, rmSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type Database from 'better-sqlite3';
import fileId from '../../../file-id/file-id.js';
import { loadSettings } from '../../config/settings.js';
import { lockArchive } from '../../index/lock.js';
import type { ListedFile } from '../../operations/lists.js';
import { writeAll } from '../../store/write-all.js';
import { counted } from '../../words.js';
import { Client } from '../client.js';
import { CommandFailed, RequestFailed } from '../errors.js';
import { formatBytes, print, printJson, progressBar } from '../output.js';
import { openTemporary, whileRoom } from '../temporary-database.js';
import type { Options } from '../transfer.js';
import { eachAtOnce, retrying } from './at-once.js';
import { GrowingFile, notWritten, rowsOf, rowText } from './csv.js';

/** Files of a page. */
const PAGE = 1000;
/** Files that are fetched at the same time. */
const AT_ONCE = 8;
/** Milliseconds between syncs of the list. */
const SYNC_MILLISECONDS = 1000;
/** A file that is changed while it is fetched, an appender, is fetched again. */
const ATTEMPTS = 3;
/** Files on the way, below the directory of the export. */
const PARTS = '.fidfs-parts';

export const LIST = 'list.csv';
export const METADATA = 'metadata.jsonl';
export const COLUMNS = ['id', 'name', 'sha256', 'size', 'created'] as const;

export interface ExportOptions extends Options {
  group?: string;
  metadata: boolean;
  temp?: string;
}

/** What an export did. */
interface ExportReport {
  /** Files that were fetched, and their bytes. */
  files: number;
  bytes: number;
  /** Files that were there already. */
  present: number;
  failed: number;
}

/** `fidfs export`: writes all files, and a list of them, into a directory. Sets the exit status to 1 if files are left out. */
export async function exportTo(directory: string, options: ExportOptions): Promise<void> {
  const client = new Client(loadSettings(options.config), options.server);
  mkdirSync(directory, { recursive: true });
  const root = realpathSync(directory);
  const unlock = lockArchive(join(root, '.fidfs-lock'));
  let run: Export | undefined;
  try {
    rmSync(join(root, PARTS), { recursive: true, force: true });
    mkdirSync(join(root, PARTS));
    run = await Export.open(client, root, options);
    const report = await run.all();
    if (report.failed > 0) process.exitCode = 1;
    if (options.json) printJson(report);
    else {
      const { files, bytes, present, failed } = report;
      print(`${counted(files, 'file')}, ${formatBytes(bytes)} exported; ${present} were there; ${failed} failed\n`);
    }
  } finally {
    run?.close();
    rmSync(join(root, PARTS), { recursive: true, force: true });
    unlock();
  }
}

class Export {
  private readonly report: ExportReport = { files: 0, bytes: 0, present: 0, failed: 0 };
  private readonly directories = new Set<string>();
  private readonly list: GrowingFile;
  private readonly metadata: GrowingFile;
  private readonly known: Database.Statement<[string], { sha256: string; size: number }>;
  private synced = Date.now();

  private constructor(
    private readonly client: Client,
    private readonly root: string,
    private readonly options: ExportOptions,
    /** What was exported by earlier runs. */
    private readonly present: Database.Database,
  ) {
    this.list = new GrowingFile(join(root, LIST), rowText(COLUMNS));
    this.metadata = new GrowingFile(join(root, METADATA));
    present.exec('CREATE TABLE present (id TEXT PRIMARY KEY, sha256 TEXT, size INTEGER) WITHOUT ROWID; BEGIN');
    this.known = present.prepare('SELECT sha256, size FROM present WHERE id = ?');
  }

  static async open(client: Client, root: string, options: ExportOptions): Promise<Export> {
    const temp = options.temp ?? tmpdir();
    const present = openTemporary(temp);
    const run = new Export(client, root, options, present);
    const insert = present.prepare('INSERT OR REPLACE INTO present VALUES (?, ?, ?)');
    for await (const [id, , sha256, size] of rowsOf(createReadStream(join(root, LIST))))
      whileRoom(temp, () => insert.run(id, sha256, size));
    present.exec('COMMIT');
    return run;
  }

  close(): void {
    this.list.close();
    this.metadata.close();
    this.present.close();
  }

  /** Exports page by page, the oldest files first. */
  async all(): Promise<ExportReport> {
    const { group } = this.options;
    const query = { order: 'oldest', limit: String(PAGE), ...(group !== undefined && { group }) };
    const bar = process.stdout.isTTY ? undefined : progressBar('{value} files, {size}', 0);
    try {
      for (let after: Record<string, string> | undefined = {}; after; ) {
        const page = await retrying(() => this.client.list({ ...query, ...after }));
        await eachAtOnce(page.files, AT_ONCE, async (file) => {
          await this.one(file);
          bar?.increment(1, { size: formatBytes(this.report.bytes) });
        });
        await this.sync();
        after = page.next === undefined ? undefined : { after: page.next };
      }
    } finally {
      bar?.stop();
    }
    return this.report;
  }

  /** Exports a file; one that fails is named on standard error. Rejects if all others would fail, too. */
  private async one(file: ListedFile): Promise<void> {
    try {
      fileId.decode(file.id); // its parts become directories
      if (this.isPresent(file)) this.report.present++;
      else await retrying(() => this.fetch(file));
    } catch (error) {
      const isOfFile = error instanceof CommandFailed || fileId.isFileIdError(error);
      const status = error instanceof RequestFailed ? error.status : 0;
      if ((error as NodeJS.ErrnoException).syscall !== undefined) throw notWritten(this.root, error);
      if (!isOfFile || status === undefined || status === 401) throw error;
      if (status === 404) return; // deleted since it was listed
      if (status === 403)
        throw new CommandFailed(`${error.message} (private files need the downloadKey in these settings)`);
      this.report.failed++;
      process.stderr.write(`fidfs: ${file.id}: ${error.message}\n`);
    }
  }

  private isPresent({ id, sha256, size }: ListedFile): boolean {
    const known = this.known.get(id);
    if (known?.sha256 !== sha256 || known.size !== size) return false;
    const stats = lstatSync(join(this.root, id), { throwIfNoEntry: false });
    return stats?.isFile() === true && stats.size === size;
  }

  private async fetch({ id, kind, created, ...listed }: ListedFile): Promise<void> {
    const target = this.targetOf(id);
    const metadata = this.options.metadata ? await this.client.metadata(id) : {};
    let { sha256 } = listed;
    for (let attempt = 1; ; attempt++) {
      const part = join(this.root, PARTS, randomBytes(8).toString('hex'));
      const found = await download(await this.client.content(id), part);
      if (sha256 === null || found.sha256 === sha256) {
        await rename(part, target);
        if (Object.keys(metadata).length > 0) this.metadata.append(`${JSON.stringify({ id, metadata })}\n`);
        this.list.append(rowText([id, id, found.sha256, found.size, created]));
        this.report.files++;
        this.report.bytes += found.size;
        break;
      }
      rmSync(part);
      const [now] = kind === 'appender' ? await this.client.many('stat', [id]) : [];
      if (attempt === ATTEMPTS || now === undefined || !('sha256' in now))
        throw new CommandFailed(
          'the received bytes have another SHA-256 than the list; run "fidfs scrub" on the nodes',
        );
      sha256 = now.sha256;
    }
    if (Date.now() - this.synced > SYNC_MILLISECONDS) await this.sync();
  }

  /** The path of a file, in a directory that exists. Throws CommandFailed if a symbolic link is in the way. */
  private targetOf(id: string): string {
    const directory = dirname(id);
    if (!this.directories.has(directory)) {
      let path = this.root;
      for (const part of directory.split('/')) {
        path = join(path, part);
        if (!lstatSync(path, { throwIfNoEntry: false })) mkdirSync(path, { recursive: true });
        if (!lstatSync(path).isDirectory()) throw new CommandFailed(`${path} is not a directory`);
      }
      this.directories.add(directory);
    }
    return join(this.root, id);
  }

  /** Makes durable: the directories that files came into, then the list. */
  private async sync(): Promise<void> {
    this.synced = Date.now();
    const directories = [...this.directories];
    this.directories.clear();
    for (const directory of directories) await syncDirectory(join(this.root, directory));
    this.metadata.sync();
    this.list.sync();
  }
}

/** Writes a stream to a new file and makes it durable. Returns its size in bytes, and its SHA-256 in hex. */
async function download(content: AsyncIterable<Buffer>, file: string): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  let size = 0;
  const handle = await open(file, 'wx');
  const write = (_descriptor: number, bytes: Uint8Array, offset: number, length: number) =>
    handle.write(bytes, offset, length);
  try {
    for await (const chunk of content) {
      hash.update(chunk);
      size += chunk.length;
      await writeAll({ write }, handle.fd, chunk);
    }
    await handle.sync();
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  return { size, sha256: hash.digest('hex') };
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
