import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { formatAddress } from '../daemon/config/settings.js';
import { freePort } from '../test/helpers/ports.js';
import { pidsOf, planPair } from './pair.js';
import { cpuSeconds, reapedCpuSeconds } from './processes.js';
import { type BenchServer, endOf } from './server.js';
import { withSpread } from './table.js';
import { postOnceEachScript, type Run, ratio, runWrk } from './wrk.js';

const FILES = 100_000;
const BYTES = 10_000;
/** Practically no limit of the rate, to measure what is possible. */
const ENV = { FIDFS_REPAIR_RATE: '100GiB/s', FIDFS_COPIES: '1' };

/**
 * Measures how an empty node copies all files of its peer, durably, from its start until it has them all; against
 * `rsync -a` of the same store over loopback into an empty directory, which syncs nothing. Returns a table row.
 */
export async function benchFill(directory: string, rounds: number): Promise<string[]> {
  const pair = await planPair(directory, ENV);
  await fillFirst(directory, await pair.start(0, { extra: { FIDFS_SYNC: 'off' } }));
  const first = await pair.start(0);
  const fills: Run[] = [];
  const copies: Run[] = [];
  try {
    const files = await filesOf(first);
    for (let round = 0; round < rounds; round++) {
      copies.push(await copyByRsync(directory, first, files, round));
      execFileSync('sync');
      const before = cpuSeconds(pidsOf(first));
      const started = performance.now();
      const second = await pair.start(1, { place: `filled-${round}` });
      try {
        // Waits for the files, independently of readiness.
        while ((await filesOf(second)) < files) await sleep(50);
        const seconds = (performance.now() - started) / 1000;
        const spent = cpuSeconds(pidsOf(first, second)) - before;
        fills.push({ rate: files / seconds, cpu: (spent / files) * 1e6 });
      } finally {
        await second.stop();
      }
    }
  } finally {
    await first.stop();
  }
  const columns = [fills, copies].flatMap((runs) => [
    withSpread(runs.map(({ rate }) => rate)),
    withSpread(runs.map(({ cpu }) => cpu)),
  ]);
  const compared = `rate ${ratio(fills, copies).toFixed(2)}`;
  return ['filling an empty node, 100,000 files of 10 KB', '`rsync -a`, nothing synced', ...columns, compared];
}

/** Uploads the files to a node, and stops it. */
async function fillFirst(directory: string, first: BenchServer): Promise<void> {
  const { origin, key } = first;
  const body = randomBytes(BYTES);
  // In short runs, because wrk always runs for the given duration.
  for (let had = 0; had < FILES; had = await filesOf(first)) {
    const script = postOnceEachScript(directory, 'fill', key, body, FILES - had);
    await runWrk({ origin, script, connections: 64, seconds: 3, pids: [] });
  }
  await first.stop();
}

/** Resolves with the number of files in a node's index. */
async function filesOf({ settings, key }: BenchServer): Promise<number> {
  const address = `http://${formatAddress(settings.daemonListen)}/status`;
  const answer = await fetch(address, { headers: { authorization: `Bearer ${key}` } });
  return ((await answer.json()) as { files: number }).files;
}

/** Copies a node's store from an rsync daemon on this machine into an empty directory. */
async function copyByRsync(directory: string, first: BenchServer, files: number, round: number): Promise<Run> {
  const { port, daemon } = await startRsync(directory, join(first.settings.storePaths[0] ?? '', 'data'));
  const target = join(directory, `rsync-${round}`);
  mkdirSync(target);
  try {
    execFileSync('sync');
    const started = performance.now();
    // `times` prints the CPU time of rsync.
    const command = `rsync -a rsync://127.0.0.1:${port}/store/ ${target}/ && times`;
    const { stdout } = await promisify(execFile)('sh', ['-c', command]);
    const seconds = (performance.now() - started) / 1000;
    const [user = 0, system = 0] = [...(stdout.split('\n')[1] ?? '').matchAll(/(\d+)m([\d.]+)s/g)].map(
      ([, minutes, rest]) => Number(minutes) * 60 + Number(rest),
    );
    await sleep(100); // until the daemon has reaped its child
    const spent = user + system + reapedCpuSeconds(daemon.pid as number);
    return { rate: files / seconds, cpu: (spent / files) * 1e6 };
  } finally {
    await endOf(daemon);
  }
}

async function startRsync(directory: string, store: string): Promise<{ port: number; daemon: ChildProcess }> {
  const port = await freePort();
  const configuration = join(directory, 'rsyncd.conf');
  const user = process.getuid?.() === 0 ? 'uid = root\ngid = root\n' : '';
  writeFileSync(
    configuration,
    `${user}use chroot = no\npid file = ${directory}/rsyncd-${port}.pid\n[store]\npath = ${store}\nread only = yes\n`,
  );
  const words = ['--daemon', '--no-detach', '--address=127.0.0.1', `--port=${port}`, `--config=${configuration}`];
  const daemon = spawn('rsync', words, { stdio: ['ignore', 'ignore', 'inherit'] });
  while (!(await isListening(port))) {
    if (daemon.exitCode !== null) throw new Error('the rsync daemon ended; its words are above');
    await sleep(20);
  }
  return { port, daemon };
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
