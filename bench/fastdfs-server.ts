import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../test/helpers/ports.js';
import { endOf } from './server.js';

const READY_SECONDS = 30;

/** A storage server of real FastDFS, with a tracker. */
export interface FastdfsServers {
  storagePort: number;
  storagePid: number;
  stop(): Promise<void>;
}

/**
 * Starts the tracker and the storage server of real FastDFS, unsynced as it is by default.
 * @param programs directory with `fdfs_trackerd` and `fdfs_storaged`
 */
export async function startFastdfs(programs: string, directory: string): Promise<FastdfsServers> {
  const [tracker, storage] = [await freePort(), await freePort()];
  const children: ChildProcess[] = [];
  const start = (name: string, lines: string[]) => {
    const base = join(directory, name);
    mkdirSync(base, { recursive: true });
    const configuration = join(base, 'configuration.conf');
    writeFileSync(configuration, `base_path = ${base}\n${lines.join('\n')}\n`);
    // "--no-daemon" keeps it in the foreground; its log is in base_path/logs.
    const child = spawn(join(programs, `fdfs_${name}d`), ['--no-daemon', configuration], { stdio: 'ignore' });
    children.push(child);
    return child;
  };
  start('tracker', [`port = ${tracker}`, 'store_lookup = 2', 'reserved_storage_space = 1%']);
  await listens(tracker);
  const server = start('storage', [
    ...[
      'group_name = group1',
      `port = ${storage}`,
      'store_path_count = 1',
      `store_path0 = ${join(directory, 'storage')}`,
    ],
    ...[`tracker_server = 127.0.0.1:${tracker}`, 'subdir_count_per_path = 256', 'fsync_after_written_bytes = 0'],
    'bind_addr = 127.0.0.1',
  ]);
  await listens(storage);
  return {
    storagePort: storage,
    storagePid: server.pid as number,
    stop: async () => {
      for (const child of children.reverse()) await endOf(child);
    },
  };
}

async function listens(port: number): Promise<void> {
  for (const end = Date.now() + READY_SECONDS * 1000; Date.now() < end; ) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect({ port, host: '127.0.0.1' });
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (isThere) return;
    await sleep(50);
  }
  throw new Error(`FastDFS does not listen on ${port}`);
}
