import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { request } from 'undici';
import type { Status } from '../daemon/status.js';
import fileId from '../file-id/file-id.js';
import { cpuSeconds } from './processes.js';
import { startServer } from './server.js';
import { markdownTable, median, short, withSpread } from './table.js';

const ROUNDS = 5;
const FILES = 100_000;
const SIZE = 10_000;
const IN_DIRECTORY = 256;
const CREATED = 1795328179;
const LOOK_MILLISECONDS = 50;

/** Writes files as FastDFS would have, with an address as their source. */
function makeFiles(root: string): void {
  for (let number = 0; number < FILES; number++) {
    const content = randomBytes(SIZE);
    const key = Buffer.alloc(20);
    key.writeUInt32BE(0x0a420001, 0);
    key.writeUInt32BE(CREATED, 4);
    key.writeUInt32BE(0x80000000 + (number & 0x7fffff), 8);
    key.writeUInt32BE(SIZE, 12);
    key.writeUInt32BE(crc32(content), 16);
    const directory = join(root, 'data', fileId.directories(Math.floor(number / IN_DIRECTORY)));
    if (number % IN_DIRECTORY === 0) mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `${key.toString('base64url')}417.jpg`), content);
  }
}

/** Files per second of sha256sum. */
function hashAll(root: string): number {
  const started = performance.now();
  execFileSync('sh', ['-c', 'find "$0" -type f -print0 | xargs -0 sha256sum > /dev/null', join(root, 'data')]);
  return (FILES / (performance.now() - started)) * 1000;
}

/** Files per second of `fidfs adopt`, and the daemon's CPU microseconds per file. */
async function adoptAll(root: string, directory: string): Promise<{ rate: number; cpu: number }> {
  // A node without an index finds the files of FastDFS.
  for (const name of ['fidfs-store-path', 'tombstones', 'batches', 'ballast', 'lock'])
    rmSync(join(root, name), { force: true });
  const server = await startServer(directory, { FIDFS_STORE_PATHS: root, FIDFS_REPAIR_RATE: '100GiB/s' });
  try {
    const { daemonListen } = server.settings;
    const origin = `http://${daemonListen.host}:${daemonListen.port}`;
    const headers = { authorization: `Bearer ${server.key}` };
    const adoption = async () => {
      const { body } = await request(`${origin}/status`, { headers });
      return ((await body.json()) as Status).adoption;
    };
    const before = cpuSeconds([server.daemonPid]);
    const started = performance.now();
    const order = JSON.stringify({ dryRun: false, names: [] });
    await (await request(`${origin}/adopt`, { method: 'POST', headers, body: order })).body.dump();
    for (;;) {
      const { last, failure } = await adoption();
      if (failure !== null) throw new Error(failure);
      if (last && last.files !== FILES) throw new Error(`${last.files} files adopted, ${last.left} left`);
      if (last) break;
      await sleep(LOOK_MILLISECONDS);
    }
    const rate = (FILES / (performance.now() - started)) * 1000;
    return { rate, cpu: ((cpuSeconds([server.daemonPid]) - before) / FILES) * 1e6 };
  } finally {
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Measures `fidfs adopt` against `sha256sum` of the same files, with a warm cache. Returns a table. */
export async function measureAdoption(directory: string): Promise<string> {
  const root = join(directory, 'fastdfs');
  makeFiles(root);
  const hashed: number[] = [];
  const adopted: { rate: number; cpu: number }[] = [];
  hashAll(root);
  for (let round = 0; round < ROUNDS; round++) {
    hashed.push(hashAll(root));
    adopted.push(await adoptAll(root, join(directory, `node${round}`)));
  }
  const rates = adopted.map(({ rate }) => rate);
  const ratio = median(rates.map((rate, round) => rate / (hashed[round] ?? Number.NaN)));
  return markdownTable([
    [`${FILES.toLocaleString('en')} files of 10 KB`, 'files/s', 'CPU us/file', '`sha256sum`, files/s', 'ratio'],
    ['`fidfs adopt`', withSpread(rates), withSpread(adopted.map(({ cpu }) => cpu)), withSpread(hashed), short(ratio)],
  ]);
}
