import { createReadStream, existsSync, lstatSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import fileId from '../../../file-id/file-id.js';
import { KEY_CHARACTERS, slaveName, withoutExtension } from '../../store/names.js';
import { linesOf } from '../audit/id-in-line.js';
import { CommandFailed, RequestFailed, UsedWrongly } from '../errors.js';
import { eachAtOnce, retrying } from './at-once.js';
import { rowsOf } from './csv.js';
import { LIST, METADATA } from './export.js';
import { importUrls } from './import-urls.js';
import { Import, type ImportOptions } from './importing.js';
import { pathInside } from './inside.js';

/** Rows that are read at once. */
const BATCH = 1000;
const LONGEST_PREFIX = 16;
/** The file of new IDs, if no other is named. */
const MAP = 'map.csv';

const metadataLine = z.object({ id: z.string(), metadata: z.record(z.string(), z.string()) });

/** A file of the list. */
interface Row {
  place: number;
  /** The ID that it had, or its name if there is none. */
  old: string;
  /** The path below the directory. */
  name: string;
  sha256: string;
  /** Of a slave: what its master shares with it; otherwise empty. */
  family: string;
}

/** `fidfs import`: uploads the files of a list, or of addresses. Sets the exit status to 1 if some fail. */
export async function importFiles(directory: string | undefined, options: ImportOptions): Promise<void> {
  if ((directory === undefined) === (options.urls === undefined))
    throw new UsedWrongly('write a directory, or --urls with a list of addresses');
  if (options.urls !== undefined) return importUrls(options.urls, options);
  await importDirectory(directory ?? '', options);
}

async function importDirectory(directory: string, options: ImportOptions): Promise<void> {
  if (!existsSync(join(directory, LIST))) throw new CommandFailed(`there is no ${join(directory, LIST)}`);
  const root = realpathSync(directory);
  const run = new Import(options.map ?? join(root, MAP), options);
  try {
    await run.readMap();
    await readList(root, run);
    await readMetadata(root, run);
    // Slaves after their masters, and slaves of slaves, which have longer names, after those.
    for (const length of lengthsOfSlaves(run)) {
      await eachAtOnce(rows(run, length), run.atOnce, (row) => run.one(row.old, () => uploadRow(row, root, run)));
    }
    run.end();
  } finally {
    run.close();
  }
}

/** Reads the list into the database. Rejects with CommandFailed if its first line does not name the columns. */
async function readList(root: string, run: Import): Promise<void> {
  // `stem` is the length of a slave's name without its extension; 0 for other files.
  const { database } = run;
  database.exec(`
    CREATE TABLE file (place INTEGER PRIMARY KEY, old TEXT UNIQUE, name TEXT, sha256 TEXT, family TEXT, stem INTEGER);
    BEGIN`);
  const insert = database.prepare(
    'INSERT OR REPLACE INTO file (old, name, sha256, family, stem) VALUES (?, ?, ?, ?, ?)',
  );
  let columns: string[] | undefined;
  for await (const row of rowsOf(createReadStream(join(root, LIST)))) {
    if (!columns) {
      columns = row.map((column) => column.trim().toLowerCase());
      if (!columns.includes('name')) throw new CommandFailed(`${LIST}: its first line must be id,name,sha256`);
      continue;
    }
    const field = (column: string) => row[columns?.indexOf(column) ?? -1] ?? '';
    const old = field('id') || field('name');
    const { family, stem } = placeOf(old);
    run.write(() => insert.run(old, field('name'), field('sha256').toLowerCase(), family, stem));
  }
  database.exec('COMMIT; CREATE INDEX slaves ON file (stem)');
}

/** Reads the metadata of an export, if there is any. */
async function readMetadata(root: string, run: Import): Promise<void> {
  run.database.exec('CREATE TABLE metadata (id TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID; BEGIN');
  const insert = run.database.prepare('INSERT OR REPLACE INTO metadata VALUES (?, ?)');
  const file = join(root, METADATA);
  if (existsSync(file)) {
    for await (const { text, isEnded, number } of linesOf(createReadStream(file), 2 ** 20)) {
      if (!isEnded) break; // not written wholly
      const { id, metadata } = parseMetadata(text, `${METADATA}:${number}`);
      run.write(() => insert.run(id, JSON.stringify(metadata)));
    }
  }
  run.database.exec('COMMIT');
}

function parseMetadata(text: string, where: string): z.output<typeof metadataLine> {
  try {
    return metadataLine.parse(JSON.parse(text));
  } catch (error) {
    throw new CommandFailed(`${where} is not {"id":…,"metadata":{…}}`, { cause: error });
  }
}

/** The lengths of the names of slaves without their extensions, in their order; 0, the first one, stands for all other files. */
function lengthsOfSlaves({ database }: Import): number[] {
  return database.prepare<[], number>('SELECT DISTINCT stem FROM file ORDER BY stem').pluck().all();
}

function* rows({ database }: Import, stem: number): Generator<Row> {
  const next = database.prepare<[number, number, number], Row>(
    'SELECT place, old, name, sha256, family FROM file WHERE stem = ? AND place > ? ORDER BY place LIMIT ?',
  );
  for (let last = 0; ; ) {
    const found = next.all(stem, last, BATCH);
    if (found.length === 0) return;
    last = found.at(-1)?.place ?? 0;
    yield* found;
  }
}

/** Uploads a file with its metadata. Returns its new ID. */
async function uploadRow({ old, name, sha256, family }: Row, root: string, run: Import): Promise<string> {
  const path = pathInside(root, name);
  if (!lstatSync(path, { throwIfNoEntry: false })?.isFile()) throw new CommandFailed(`${name} is not a regular file`);
  if (!/^([0-9a-f]{64})?$/.test(sha256)) throw new CommandFailed(`${JSON.stringify(sha256)} is not a SHA-256`);
  const expected = sha256 === '' ? {} : { sha256 };
  const master = family === '' ? undefined : masterOf(old, family, run);
  const { group } = run.options;
  const query = master ?? (group === undefined ? undefined : { group });
  const options = { ...expected, ...(query && { query }) };
  const send = async () => (await run.client.upload(path, () => undefined, options)).id;
  const id = await retrying(send).catch((error: unknown) => {
    // The answer to an earlier request may have been lost.
    if (master && error instanceof RequestFailed && error.status === 409) return sameSlave(master, sha256, run);
    throw error;
  });
  const metadata = run.database.prepare<[string], string>('SELECT text FROM metadata WHERE id = ?').pluck().get(old);
  if (metadata === undefined) return id;
  await retrying(() => run.client.setMetadata(id, JSON.parse(metadata))).catch(async (error: unknown) => {
    // The next import would store it again. A slave stays: its name could not be used again, and the next import finds it.
    if (!master) await run.client.delete(id).catch(() => undefined);
    throw error;
  });
  return id;
}

/** The parameters of a slave's upload; undefined if the list does not have its master. Throws CommandFailed. */
function masterOf(
  old: string,
  family: string,
  run: Import,
): { master: string; prefix: string; ext: string } | undefined {
  const stem = withoutExtension(old);
  const candidates = run.database
    .prepare<[string, string, string], string>('SELECT old FROM file WHERE old >= ? AND old < ? AND old <> ?')
    .pluck()
    .all(family, `${family}\u007f`, old)
    .filter((id) => {
      const start = withoutExtension(id);
      return stem.startsWith(start) && stem.length > start.length && stem.length - start.length <= LONGEST_PREFIX;
    });
  // Whether the master or another slave of it is taken, the name is the same.
  const id = candidates.find((candidate) => run.idOf(candidate) !== undefined);
  const master = id === undefined ? undefined : run.idOf(id);
  if (candidates.length === 0) return undefined;
  if (id === undefined || master === undefined) throw new CommandFailed(`its master ${candidates[0]} is not imported`);
  return { master, prefix: stem.slice(withoutExtension(id).length), ext: old.slice(stem.length + 1) };
}

/** The ID of a slave that is there already, if it has the same content. Rejects with CommandFailed. */
async function sameSlave(
  { master, prefix, ext }: { master: string; prefix: string; ext: string },
  sha256: string,
  run: Import,
): Promise<string> {
  const directory = master.slice(0, master.lastIndexOf('/') + 1);
  const id = directory + slaveName(master.slice(directory.length), prefix, ext);
  const [found] = await retrying(() => run.client.many('stat', [id]));
  if (sha256 !== '' && found && 'sha256' in found && found.sha256 === sha256) return id;
  throw new CommandFailed(`${id} is there already, with another content`);
}

/** What the ID of a slave shares with that of its master, and the length of its name without the extension. */
function placeOf(old: string): { family: string; stem: number } {
  try {
    const { kind, name } = fileId.decode(old);
    if (kind !== 'slave') return { family: '', stem: 0 };
    const directory = old.slice(0, old.length - name.length);
    return { family: directory + name.slice(0, KEY_CHARACTERS), stem: withoutExtension(name).length };
  } catch (error) {
    if (fileId.isFileIdError(error)) return { family: '', stem: 0 };
    throw error;
  }
}
