import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './ports.js';

const READY_SECONDS = 60;
const END_SECONDS = 10;
/** FastDFS refuses 127.0.0.1 as the address of a tracker. */
const HOST = '127.0.0.2';

/** A storage server of real FastDFS, with a tracker. */
export interface FastdfsServers {
  storageHost: string;
  trackerPort: number;
  storagePort: number;
  storagePid: number;
  stop(): Promise<void>;
}

interface FastdfsOptions {
  /** What ran on the directory before: it keeps its ports, which FastDFS has recorded. */
  before?: FastdfsServers;
  /** Lines of the tracker's configuration. */
  tracker?: string[];
  /** Subdirectories in each of the two levels of the store path. */
  subdirectories?: number;
}

/**
 * Starts the tracker and the storage server of real FastDFS, unsynced as it is by default. The store path is `store` in the
 * directory, the binlogs are in `storage/data/sync`.
 * @param root directory with `bin/fdfs_trackerd`, `bin/fdfs_storaged` and, in `lib` or `lib64`, their libraries
 */
export async function startFastdfs(
  root: string,
  directory: string,
  { before, tracker: trackerLines = [], subdirectories = 256 }: FastdfsOptions = {},
): Promise<FastdfsServers> {
  const [tracker, storage] = [before?.trackerPort ?? (await freePort()), before?.storagePort ?? (await freePort())];
  const children: ChildProcess[] = [];
  const stop = async () => {
    for (const child of children.toReversed()) await endOf(child);
  };
  const start = async (name: string, port: number, lines: string[]): Promise<ChildProcess> => {
    const base = join(directory, name);
    mkdirSync(base, { recursive: true });
    const configuration = join(base, 'configuration.conf');
    const common = [`base_path = ${base}`, `bind_addr = ${HOST}`, `port = ${port}`, 'thread_stack_size = 512KB'];
    writeFileSync(configuration, `${[...common, ...lines].join('\n')}\n`);
    // "--no-daemon" keeps it in the foreground; its log is in base_path/logs.
    const child = spawn(join(root, 'bin', `fdfs_${name}d`), ['--no-daemon', configuration], {
      env: { ...process.env, LD_LIBRARY_PATH: `${join(root, 'lib64')}:${join(root, 'lib')}` },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    children.push(child);
    await listens(name, port, child);
    return child;
  };
  try {
    await start('tracker', tracker, ['store_lookup = 2', 'reserved_storage_space = 1%', ...trackerLines]);
    const storePath = join(directory, 'store');
    mkdirSync(storePath, { recursive: true });
    const server = await start('storage', storage, [
      ...['group_name = group1', 'store_path_count = 1', `store_path0 = ${storePath}`],
      ...[`tracker_server = ${HOST}:${tracker}`, `subdir_count_per_path = ${subdirectories}`],
      'fsync_after_written_bytes = 0',
    ]);
    return { storageHost: HOST, trackerPort: tracker, storagePort: storage, storagePid: server.pid as number, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function listens(name: string, port: number, child: ChildProcess): Promise<void> {
  let failure = '';
  child.once('error', ({ message }) => {
    failure = `: ${message}`;
  });
  for (const end = Date.now() + READY_SECONDS * 1000; Date.now() < end; ) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect({ port, host: HOST });
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (isThere) return;
    if (failure !== '' || hasEnded(child)) throw new Error(`the ${name} of FastDFS has ended${failure}`);
    await sleep(50);
  }
  throw new Error(`the ${name} of FastDFS does not listen on ${HOST}:${port}`);
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** Ends a process: by SIGTERM, or after ten seconds by SIGKILL. */
async function endOf(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return;
  child.kill('SIGTERM');
  for (const end = Date.now() + END_SECONDS * 1000; !hasEnded(child) && Date.now() < end; ) await sleep(20);
  child.kill('SIGKILL');
}
