import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Index } from '../../daemon/index/index.js';
import { type Calls, realCalls } from '../../daemon/store/calls.js';
import { Copies } from '../../daemon/store/copies.js';
import type { SyncMode } from '../../daemon/store/file-system.js';
import type { ReceivedFile } from '../../daemon/store/incoming-file.js';
import { filePath } from '../../daemon/store/layout.js';
import type { Batch, FileLocation } from '../../daemon/store/records.js';
import { recover } from '../../daemon/store/recovery.js';
import { ResumableUploads } from '../../daemon/store/resumable.js';
import { Store } from '../../daemon/store/store.js';
import { StorePath } from '../../daemon/store/store-path.js';
import fileId from '../../file-id/file-id.js';
import type { FaultyDisk } from './faults.js';

const SERVER_ID = 1;
const SETTINGS = { group: 'group1', serverId: SERVER_ID, deduplicate: true };

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

/** The modules of the durable write, on two store paths. */
export interface Modules {
  index: Index;
  paths: StorePath[];
  store: Store;
  copies: Copies;
  resumable: ResumableUploads;
}

/** Opens the modules and runs the recovery, as a startup does. Without `disk` no call fails. */
export async function open(directory: string, mode: SyncMode, disk?: FaultyDisk): Promise<Modules> {
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
export async function kill({ index, store }: Modules): Promise<void> {
  await index.close();
  await store.close().catch(() => {}); // ends the timer; the index is closed
}

/** Uploads contents in one change; resolves with their IDs. */
export async function upload(modules: Modules, ...contents: Buffer[]): Promise<string[]> {
  return uploadAll(modules, contents);
}

/** As `upload`, of appenders if `isAppender`. */
export async function uploadAll(
  { store }: Modules,
  contents: readonly Buffer[],
  isAppender = false,
): Promise<string[]> {
  const received: ReceivedFile[] = [];
  const files = contents.map((bytes) => store.receive(bytes.length));
  try {
    for (const [number, file] of files.entries()) {
      const bytes = contents[number] as Buffer;
      for (let offset = 0; offset < bytes.length; offset += 2 ** 16)
        await file.write(bytes.subarray(offset, offset + 2 ** 16));
      const finished = await file.finish('bin');
      received.push(finished);
      finished.isAppender = isAppender;
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

/** Receives the content of a slave. */
export async function receiveSlave({ store }: Modules, master: string, bytes: Buffer): Promise<ReceivedFile> {
  const file = store.receive(bytes.length, undefined, fileId.decode(master).storePath);
  try {
    await file.write(bytes);
    return await file.finish('');
  } catch (error) {
    await file.discard().catch(() => {});
    throw error;
  }
}

/** Stores content as a slave of a file; resolves with its ID. */
export async function addSlave(modules: Modules, master: string, prefix: string, bytes: Buffer): Promise<string> {
  const received = await receiveSlave(modules, master, bytes);
  const { store } = modules;
  try {
    return (await store.addSlave(fileId.decode(master), prefix, 'bin', received)).id;
  } finally {
    try {
      received.release();
    } catch {
      // The next startup's recovery removes it.
    }
  }
}

/** Runs a change of an appender with a received piece. */
export async function withPiece<Result>(
  { store }: Modules,
  appender: string,
  bytes: Buffer,
  change: (piece: ReceivedFile) => Promise<Result>,
): Promise<Result> {
  const file = store.receive(bytes.length, undefined, fileId.decode(appender).storePath);
  let piece: ReceivedFile;
  try {
    await file.write(bytes);
    piece = await file.finish('');
  } catch (error) {
    await file.discard().catch(() => {});
    throw error;
  }
  try {
    return await change(piece);
  } finally {
    try {
      piece.release();
    } catch {
      // The next startup's recovery removes it.
    }
  }
}

/** The content of a file on the disk; undefined if it does not exist. */
export function bytesOf({ paths }: Modules, { storePath, directory, name }: FileLocation): Buffer | undefined {
  const place = filePath(paths[storePath]?.root as string, directory, name);
  return existsSync(place) ? readFileSync(place) : undefined;
}
