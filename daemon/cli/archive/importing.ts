import { createReadStream } from 'node:fs';
import { tmpdir } from 'node:os';
import type Database from 'better-sqlite3';
import { loadSettings, type Settings } from '../../config/settings.js';
import { lockArchive } from '../../index/lock.js';
import { counted } from '../../words.js';
import { Client } from '../client.js';
import { CommandFailed, RequestFailed, UsedWrongly } from '../errors.js';
import { print, printJson, progressBar } from '../output.js';
import { openTemporary, whileRoom } from '../temporary-database.js';
import type { Options } from '../transfer.js';
import { GrowingFile, rowsOf, rowText } from './csv.js';

/** Milliseconds between syncs of the map. */
const SYNC_MILLISECONDS = 1000;
/** Files in a row that the node could not take, after which the others are not tried. */
const MOST_REFUSED = 20;

export interface ImportOptions extends Options {
  map?: string;
  urls?: string;
  group?: string;
  atOnce: string;
  timeout: string;
  temp?: string;
}

/** A request to something else than the node failed: it says nothing of other files. */
export class SourceFailed extends RequestFailed {
  override name = 'SourceFailed';
}

/**
 * The state of an import: the map of old to new IDs, a file that grows with each upload, so that an interrupted import goes on; and a
 * temporary database for what may not fit into memory.
 */
export class Import {
  readonly settings: Settings;
  readonly client: Client;
  readonly atOnce: number;
  readonly database: Database.Database;
  private readonly temp: string;
  private readonly find: Database.Statement<[string], string>;
  private readonly insert: Database.Statement<[string, string]>;
  private readonly unlock: () => void;
  private readonly map: GrowingFile;
  private readonly report = { files: 0, present: 0, failed: 0 };
  private readonly bar = process.stdout.isTTY ? undefined : progressBar('{value} files', 0);
  private synced = Date.now();
  /** Files in a row that the node could not take. */
  private refused = 0;

  /** Throws CommandFailed and UsedWrongly. */
  constructor(
    private readonly mapFile: string,
    readonly options: ImportOptions,
  ) {
    this.atOnce = Number(options.atOnce);
    if (!/^[1-9]\d?$/.test(options.atOnce)) throw new UsedWrongly('--at-once: write a number from 1 to 99');
    this.settings = loadSettings(options.config);
    this.client = new Client(this.settings, options.server);
    this.temp = options.temp ?? tmpdir();
    this.database = openTemporary(this.temp);
    this.database.exec('CREATE TABLE imported (old TEXT PRIMARY KEY, new TEXT NOT NULL) WITHOUT ROWID');
    this.find = this.database.prepare<[string], string>('SELECT new FROM imported WHERE old = ?').pluck();
    this.insert = this.database.prepare('INSERT OR REPLACE INTO imported VALUES (?, ?)');
    this.unlock = lockArchive(`${mapFile}.lock`);
    this.map = new GrowingFile(mapFile, rowText(['old', 'new']));
  }

  /** Reads the map of an import before. */
  async readMap(): Promise<void> {
    this.database.exec('BEGIN');
    for await (const [old, id] of rowsOf(createReadStream(this.mapFile))) this.note(old ?? '', id ?? '');
    this.database.exec('COMMIT');
  }

  /** The new ID of a file that is imported. */
  idOf(old: string): string | undefined {
    return this.find.get(old);
  }

  /**
   * Imports a file, unless the map has it; writes its line into the map. One that fails is named on standard error. Rejects if all
   * others would fail, too.
   * @param upload resolves with the new ID
   */
  async one(old: string, upload: () => Promise<string>): Promise<void> {
    try {
      if (this.idOf(old) !== undefined) this.report.present++;
      else {
        const id = await upload();
        this.map.append(rowText([old, id]));
        this.note(old, id);
        this.report.files++;
        this.refused = 0;
      }
    } catch (error) {
      if (!(error instanceof CommandFailed) || isOfNode(error)) throw error;
      if (isTemporary(error) && ++this.refused >= MOST_REFUSED) throw error;
      this.report.failed++;
      process.stderr.write(`fidfs: ${JSON.stringify(old).slice(1, -1)}: ${error.message}\n`);
    }
    this.bar?.increment();
    if (Date.now() - this.synced < SYNC_MILLISECONDS) return;
    this.synced = Date.now();
    this.map.sync();
  }

  /** Runs `action`, which writes to the database. */
  write<T>(action: () => T): T {
    return whileRoom(this.temp, action);
  }

  /** Prints what was done, and sets the exit status. */
  end(): void {
    const { files, present, failed } = this.report;
    if (failed > 0) process.exitCode = 1;
    if (this.options.json) printJson(this.report);
    else print(`${counted(files, 'file')} imported; ${present} were in ${this.mapFile}; ${failed} failed\n`);
  }

  close(): void {
    this.bar?.stop();
    this.map.close();
    this.database.close();
    this.unlock();
  }

  private note(old: string, id: string): void {
    this.write(() => this.insert.run(old, id));
  }
}

/** Whether the node could not take a file just now, however often it was asked. */
function isTemporary(error: CommandFailed): boolean {
  return error instanceof RequestFailed && !(error instanceof SourceFailed) && error.isTemporary;
}

/** Whether other uploads would fail like this one: the node does not answer, does not take the key, or is full. */
function isOfNode(error: CommandFailed): boolean {
  if (!(error instanceof RequestFailed) || error instanceof SourceFailed) return false;
  return error.status === undefined || [401, 403, 507].includes(error.status);
}
