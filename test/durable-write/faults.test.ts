import { hash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import t, { type Test } from 'tap';
import { Index } from '../../daemon/index/index.js';
import { type Calls, realCalls } from '../../daemon/store/calls.js';
import { Copies, type Copy } from '../../daemon/store/copies.js';
import { StoreError } from '../../daemon/store/errors.js';
import type { SyncMode } from '../../daemon/store/file-system.js';
import type { ReceivedFile } from '../../daemon/store/incoming-file.js';
import { filePath } from '../../daemon/store/layout.js';
import type { Batch, FileLocation } from '../../daemon/store/records.js';
import { recover } from '../../daemon/store/recovery.js';
import { NoSuchUpload, ResumableUploads } from '../../daemon/store/resumable.js';
import { Store } from '../../daemon/store/store.js';
import { StorePath } from '../../daemon/store/store-path.js';
import fileId from '../../file-id/file-id.js';
import { type Fault, FaultyDisk } from '../helpers/faults.js';
import { randomFrom, seeded } from '../helpers/random.js';

/*
 * Fault injection: each system call by which the durable write changes a disk fails once, or from then on, in a process that
 * continues or is killed. If STORM_ROUNDS is set, all combinations are run.
 */

const SERVER_ID = 1;
const PEER = 2;
const SETTINGS = { group: 'group1', serverId: SERVER_ID, deduplicate: true };
const CODES = ['ENOSPC', 'EIO', 'EROFS', 'EMFILE', 'short'];
const LARGE = 600 * 1024;
const LONG = process.env.STORM_ROUNDS !== undefined;

/** An index whose transactions can fail by fault injection. */
class FaultyIndex extends Index {
  constructor(
    file: string,
    private readonly disk: FaultyDisk | undefined,
  ) {
    super(file);
    this.replicationLog.enabled = true;
  }

  override record(batch: Batch): void {
    this.disk?.pass('transaction');
    super.record(batch);
  }
}

interface Modules {
  index: Index;
  paths: StorePath[];
  store: Store;
  copies: Copies;
  resumable: ResumableUploads;
}

/** Opens the modules and runs the recovery, as a startup does. */
async function open(directory: string, mode: SyncMode, disk?: FaultyDisk): Promise<Modules> {
  const calls: Calls = disk?.calls ?? { ...realCalls, syncfs: async () => {}, fsync: async () => {} };
  const index = new FaultyIndex(join(directory, 'index.db'), disk);
  const paths = [0, 1].map((number) => new StorePath(number, join(directory, `path${number}`), { bytes: 0 }, calls));
  for (const path of paths) {
    index.storePaths.remember(path.number, path.open(index.storePaths.find(path.number)?.identity), path.root);
  }
  await recover(paths, index, SETTINGS.group, SERVER_ID);
  const store = new Store({ ...SETTINGS, sync: mode }, paths, index, () => {}, undefined, calls);
  await store.writer.settle();
  const copies = new Copies(SETTINGS, store, index);
  const keep = async (received: ReceivedFile) => (await store.add([received]))[0]?.id as string;
  const resumable = new ResumableUploads(store, index.resumable, keep, mode !== 'off', () => {});
  return { index, paths, store, copies, resumable };
}

/** Ends the modules without a checkpoint, as a kill does. */
async function kill({ index, store }: Modules): Promise<void> {
  await index.close();
  await store.close().catch(() => {}); // ends the timer; the index is closed
}

/** Contents of different sizes. */
const random = randomFrom(1);
const content = {
  old: random.bytes(1000),
  duplicate: random.bytes(1000),
  small: random.bytes(1200),
  large: random.bytes(LARGE),
  pieces: random.bytes(LARGE),
  copy: random.bytes(900),
  fetched: random.bytes(LARGE + 1),
  after: random.bytes(500),
};
let counter = 0;

function copyOf(bytes: Buffer, from: Copy['content']): Copy {
  const key = fileId.encodeKey({
    ...{ serverId: PEER, created: Math.floor(Date.now() / 1000) - 100 },
    ...{ size: bytes.length, crc32: crc32(bytes), counter: counter++ },
  });
  const name = key.toString('base64url') + fileId.makeTail('bin', 0);
  return { key, name, storePath: 0, directory: 7, sha256: Buffer.from(hash('sha256', bytes), 'hex'), content: from };
}

async function upload({ store }: Modules, ...contents: Buffer[]): Promise<string[]> {
  const received: ReceivedFile[] = [];
  const files = contents.map((bytes) => store.receive(bytes.length));
  try {
    for (const [number, file] of files.entries()) {
      const bytes = contents[number] as Buffer;
      for (let offset = 0; offset < bytes.length; offset += 2 ** 16)
        await file.write(bytes.subarray(offset, offset + 2 ** 16));
      received.push(await file.finish('bin'));
    }
  } catch (error) {
    await Promise.all(files.map((file) => file.discard().catch(() => {})));
    throw error;
  }
  try {
    return (await store.add(received)).map(({ id }) => id);
  } finally {
    for (const file of received) {
      try {
        file.release();
      } catch {
        // The next startup's recovery removes it.
      }
    }
  }
}

const foreign = { storePath: 0, directory: 3, name: 'wKgAZ2XQAAAAAAAAAAAD6HTj-0E417.txt' };

/** Prepares the state in which all runs begin: three files and a foreign one. */
async function prepare(directory: string): Promise<string[]> {
  const modules = await open(directory, 'batch');
  const ids = await upload(modules, content.old, content.duplicate, content.small);
  const place = filePath(modules.paths[0]?.root as string, foreign.directory, foreign.name);
  mkdirSync(dirname(place), { recursive: true });
  writeFileSync(place, 'foreign');
  await modules.store.close();
  await modules.index.close();
  return ids;
}

/** What was acknowledged, and what failed. */
interface Outcome {
  kept: Map<string, Buffer>;
  deleted: Set<string>;
  /** IDs whose deletion failed, so that their state is unknown. */
  unsure: Set<string>;
  copies: Copy[];
  /** Number of copies that were acknowledged to the peer. */
  cursor: number;
  /** A resumable upload, with the last acknowledged offset. */
  upload: { id: string; offset: number; file: string | null } | undefined;
  refused: unknown[];
}

const cursor = { epoch: 'theirs', sequence: 9, from: 0 };

/** Runs each operation of the durable write once. An operation that fails must not block the others. */
async function work(modules: Modules, ids: readonly string[]): Promise<Outcome> {
  const { store, copies, index, paths, resumable } = modules;
  const [old, duplicate, kept] = ids as [string, string, string];
  const outcome: Outcome = {
    ...{ kept: new Map([[kept, content.small]]), deleted: new Set(), unsure: new Set(), copies: [], cursor: 0 },
    ...{ upload: undefined, refused: [] },
  };
  const attempt = async (act: () => Promise<void>) => {
    try {
      await act();
    } catch (error) {
      outcome.refused.push(error);
    }
  };
  const uploads = (...contents: Buffer[]) =>
    attempt(async () => {
      const made = await upload(modules, ...contents);
      for (const [number, id] of made.entries()) outcome.kept.set(id, contents[number] as Buffer);
    });
  const deletion = async (id: string) => {
    outcome.unsure.add(id);
    await attempt(async () => {
      await store.remove(fileId.decode(id));
      outcome.unsure.delete(id);
      outcome.deleted.add(id);
    });
  };
  outcome.kept.set(old, content.old).set(duplicate, content.duplicate);
  outcome.kept.delete(old);
  outcome.kept.delete(duplicate);
  await Promise.all([
    uploads(content.small),
    uploads(content.duplicate, content.after),
    deletion(old),
    deletion(fileId.join('group1', foreign.storePath, foreign.directory, foreign.name)),
  ]);
  await Promise.all([uploads(content.large), deletion(duplicate)]);
  await attempt(async () => {
    const fetched = paths[0]?.openTemporary('fetched') as { path: string; descriptor: number };
    writeFileSync(fetched.descriptor, content.fetched);
    realCalls.closeSync(fetched.descriptor);
    outcome.copies = [
      copyOf(content.copy, content.copy),
      copyOf(content.copy, content.copy),
      copyOf(content.fetched, { temporary: fetched.path, linked: false }),
    ];
    await copies.take({
      copies: outcome.copies,
      removed: [{ ...copyOf(content.after, undefined), size: 500, foreign: false, accepted: false }],
      alongside: (failed) => {
        for (const { copy, reason } of failed) index.missing.add(copy, { peer: PEER, sequence: 1, reason });
        index.replicationLog.moveCursor(PEER, cursor);
      },
    });
    outcome.cursor = cursor.sequence;
  });
  await attempt(async () => {
    const id = `1-${counter++}`;
    await resumable.create({ id, size: content.pieces.length, extension: 'bin', metadata: '' });
    outcome.upload = { id, offset: 0, file: null };
    for (const [from, to] of [
      [0, LARGE / 2],
      [LARGE / 2, LARGE],
    ]) {
      const receive = async (sink: { write(chunk: Buffer): Promise<void> | undefined }) =>
        void (await sink.write(content.pieces.subarray(from, to)));
      const { offset, file } = await resumable.append(id, { receive, isWhole: false });
      outcome.upload = { id, offset, file };
    }
  });
  await uploads(content.large);
  return outcome;
}

function bytesOf({ paths }: Modules, { storePath, directory, name }: FileLocation): Buffer | undefined {
  const place = filePath(paths[storePath]?.root as string, directory, name);
  return existsSync(place) ? readFileSync(place) : undefined;
}

/** Errors in the copies that this node acknowledged, or would acknowledge, to a peer. */
function* checkCopies(modules: Modules, copies: readonly Copy[]): Generator<string> {
  for (const copy of copies) {
    const isHere = modules.index.find(copy.key) !== undefined;
    const isRight = bytesOf(modules, copy)?.length === fileId.decodeName(copy.name).size;
    if (isHere ? !isRight : modules.index.missing.find(copy.key) === undefined)
      yield `the copy ${copy.name} is not here`;
  }
}

/** Errors found after a restart. */
async function* check(modules: Modules, outcome: Outcome, isStrict: boolean): AsyncGenerator<string> {
  const { index, paths, resumable, store } = modules;
  for (const [id, bytes] of outcome.kept) {
    const file = fileId.decode(id);
    if (!index.find(fileId.keyOf(file.name))) yield `the record of ${id} is lost`;
    if (!bytesOf(modules, file)?.equals(bytes)) yield `the file of ${id} is lost`;
  }
  for (const id of outcome.deleted) {
    if (index.find(fileId.keyOf(fileId.decode(id).name))) yield `${id} has a record again`;
    if (bytesOf(modules, fileId.decode(id))) yield `${id} is back`;
  }
  if (index.replicationLog.cursor(PEER)) yield* checkCopies(modules, outcome.copies);
  // Consistency: every record has its file, every file its record, and nothing else exists.
  const known = new Set([...outcome.kept.keys(), ...outcome.unsure, outcome.upload?.file]);
  for (const record of index.all()) {
    const { storePath, directory, name, sha256 } = record;
    const bytes = bytesOf(modules, record);
    if (!bytes || !Buffer.from(hash('sha256', bytes), 'hex').equals(sha256))
      yield `${name} has a record and no right file`;
    const isCopy = record.key.readUInt32LE(0) === PEER;
    // A resumable upload may have been stored without an acknowledgement; its client asks again.
    const isPieces = bytes?.equals(content.pieces) === true;
    const isKnown = isCopy || isPieces || known.has(fileId.join('group1', storePath, directory, name));
    if (isStrict && !isKnown) yield `${name} is here, and was refused`;
  }
  for (const path of paths) {
    for (const directory of [0, 3, 7]) {
      const within = filePath(path.root, directory, '');
      for (const name of existsSync(within) ? readdirSync(within) : []) {
        const isForeign = name === foreign.name;
        if (!isForeign && !index.find(fileId.keyOf(name))) yield `${name} is on the disk and has no record`;
      }
    }
    const temporaries = readdirSync(join(path.root, 'tmp')).filter((name) => !name.startsWith('upload-'));
    if (temporaries.length > 0) yield `left in tmp: ${temporaries}`;
    if (isStrict && readdirSync(join(path.root, 'quarantine')).length > 0) yield 'something is in quarantine';
  }
  // Files whose deletion is in the log do not exist.
  for (const { removed } of index.replicationLog.read(0, 1000)) {
    if (removed?.foreign && bytesOf(modules, removed)) yield 'peers are told to delete a foreign file that is here';
  }
  // A resumable upload has all acknowledged bytes and can be completed.
  if (outcome.upload && outcome.upload.file === null) {
    const { id, offset } = outcome.upload;
    try {
      let upload = await resumable.look(id);
      if (upload.offset < offset) yield `upload ${id} is at ${upload.offset}, not at ${offset}`;
      const rest = content.pieces.subarray(upload.offset);
      const receive = async (sink: { write(chunk: Buffer): Promise<void> | undefined }) =>
        void (await sink.write(rest));
      if (upload.file === null) upload = await resumable.append(id, { receive, isWhole: false });
      if (upload.file === null) yield `upload ${id} does not end`;
      else if (!bytesOf(modules, fileId.decode(upload.file))?.equals(content.pieces))
        yield `upload ${id} has other bytes`;
    } catch (error) {
      if (!(error instanceof NoSuchUpload) || offset > 0) yield `upload ${id}: ${error}`;
    }
  } else if (outcome.upload) outcome.kept.set(outcome.upload.file as string, content.pieces);
  // A deletion that failed can be repeated.
  for (const id of outcome.unsure) {
    await store.remove(fileId.decode(id));
    if (bytesOf(modules, fileId.decode(id))) yield `${id} cannot be deleted`;
  }
}

/** Runs everything once with a fault. Resolves with the number of calls and the errors found. */
async function run(
  template: string,
  directory: string,
  ids: readonly string[],
  mode: SyncMode,
  fault: Fault,
): Promise<{ calls: number; wrong: string[] }> {
  cpSync(template, directory, { recursive: true });
  const disk = new FaultyDisk({ ...fault, at: Number.POSITIVE_INFINITY });
  const modules = await open(directory, mode, disk);
  const began = disk.count;
  Reflect.set(disk, 'fault', { ...fault, at: fault.at + began });
  const outcome = await work(modules, ids);
  const calls = disk.count - began;
  const wrong: string[] = [];
  if (outcome.cursor > 0) wrong.push(...checkCopies(modules, outcome.copies));
  // The disk works again: the process continues, unless a sync failed.
  disk.heal();
  for (const path of modules.paths) path.refresh();
  modules.store.writer.removeLeftovers();
  const [after] = await upload(modules, content.after).catch((error: unknown) => {
    const isStopped = disk.failed.some((name) => name.includes('sync') && name !== 'fdatasync');
    if (!isStopped || !(error instanceof StoreError) || error.code !== 'unavailable')
      wrong.push(`it does not go on: ${error}`);
    return [];
  });
  if (after !== undefined) outcome.kept.set(after, content.after);
  await kill(modules);
  const again = await open(directory, mode);
  for await (const problem of check(again, outcome, !fault.isLasting)) wrong.push(`after a restart: ${problem}`);
  await again.store.close();
  await again.index.close();
  rmSync(directory, { recursive: true });
  return { calls, wrong };
}

async function everyCall(t: Test, mode: SyncMode, faults: (at: number) => Omit<Fault, 'at'>[]): Promise<void> {
  const base = t.testdir({});
  const template = join(base, 'template');
  mkdirSync(template);
  const ids = await prepare(template);
  const well = await run(template, join(base, 'well'), ids, mode, {
    at: Number.POSITIVE_INFINITY,
    code: 'none',
    isLasting: false,
  });
  t.strictSame(well.wrong, [], 'all is well without a fault');
  t.ok(well.calls > 40, `${well.calls} calls`);
  let runs = 0;
  for (let at = 1; at <= well.calls; at++) {
    for (const fault of faults(at)) {
      const { wrong } = await run(template, join(base, 'run'), ids, mode, { ...fault, at });
      if (wrong.length > 0)
        t.fail(`call ${at} of ${well.calls}, ${fault.code}${fault.isLasting ? ', lasting' : ''}`, { wrong });
      runs++;
      await setImmediate();
    }
  }
  t.comment(`${runs} runs`);
}

for (const mode of ['batch', 'file'] as const) {
  t.test(
    `with "sync": "${mode}", whichever call of the disk fails, nothing acknowledged is lost and nothing stays half done`,
    async (t) => {
      const { below, pick } = seeded(t);
      const some = () => [{ code: pick(CODES), isLasting: below(3) === 0 }];
      const all = () => CODES.flatMap((code) => [false, true].map((isLasting) => ({ code, isLasting })));
      await everyCall(t, mode, LONG ? all : some);
    },
  );
}
