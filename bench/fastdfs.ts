import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from '../test/helpers/ports.js';
import { type FastdfsServers, startFastdfs } from '../test/helpers/real-fastdfs.js';
import { store } from './downloads.js';
import { cpuSeconds } from './processes.js';
import { type BenchServer, startServer } from './server.js';
import { markdownTable, median, short, withSpread } from './table.js';
import type { Run } from './wrk.js';

const ROUNDS = 5;
const SECONDS = 3;
const CONNECTIONS = 16;
/** A load that has not ended by then has got no answers. */
const LOAD_MILLISECONDS = 60_000;
const LOAD = fileURLToPath(new URL('./wire-load.js', import.meta.url));

/** Real FastDFS 6.16.1, unsynced, on a machine of two cores: uploads per second, and per CPU-second of its storage server. */
const RECORDED = { '1 KB': { rate: 8800, perCpu: 5900 }, '100 KB': { rate: 2200, perCpu: 2200 } } as const;

interface WireLoad {
  /** Without it 127.0.0.1. */
  host?: string;
  port: number;
  work: 'upload' | 'download' | 'http';
  bytes: number;
  names?: string[];
  /** The process whose CPU is measured. */
  pid: number;
}

async function runLoad({ host = '127.0.0.1', port, work, bytes, names = [], pid }: WireLoad): Promise<Run> {
  await promisify(execFile)('sync');
  const before = cpuSeconds([pid]);
  const words = [LOAD, host, String(port), work, String(CONNECTIONS), String(SECONDS), String(bytes), ...names];
  const { stdout } = await promisify(execFile)(process.execPath, words, { timeout: LOAD_MILLISECONDS });
  const { requests } = JSON.parse(stdout) as { requests: number };
  return { rate: requests / SECONDS, cpu: ((cpuSeconds([pid]) - before) / requests) * 1e6 };
}

async function interleaveLoads(loads: Record<string, WireLoad>): Promise<Record<string, Run[]>> {
  const runs: Record<string, Run[]> = {};
  for (const load of Object.values(loads)) await runLoad(load);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, load] of Object.entries(loads)) {
      runs[name] ??= [];
      runs[name].push(await runLoad(load));
    }
  }
  return runs;
}

const rates = (runs: readonly Run[]) => runs.map(({ rate }) => rate);
const perCpuSecond = (runs: readonly Run[]) => runs.map(({ cpu }) => 1e6 / cpu);
const quotient = (subject: readonly number[], reference: readonly number[]) =>
  short(median(subject.map((value, round) => value / (reference[round] ?? Number.NaN))));

async function uploadRow(
  name: keyof typeof RECORDED,
  bytes: number,
  fidfs: WireLoad,
  fastdfs: FastdfsServers | undefined,
): Promise<string[]> {
  const loads: Record<string, WireLoad> = { fidfs: { ...fidfs, work: 'upload', bytes } };
  if (fastdfs) {
    const { storageHost: host, storagePort: port, storagePid: pid } = fastdfs;
    loads.fastdfs = { host, port, pid, work: 'upload', bytes };
  }
  const runs = await interleaveLoads(loads);
  const own = runs.fidfs ?? [];
  const recorded = RECORDED[name];
  const other = runs.fastdfs;
  return [
    `upload ${name}, c${CONNECTIONS}`,
    withSpread(rates(own)),
    withSpread(perCpuSecond(own)),
    other ? withSpread(rates(other)) : `${short(recorded.rate)} (recorded)`,
    other ? withSpread(perCpuSecond(other)) : `${short(recorded.perCpu)} (recorded)`,
    other ? quotient(rates(own), rates(other)) : short(median(rates(own)) / recorded.rate),
    other ? quotient(perCpuSecond(own), perCpuSecond(other)) : short(median(perCpuSecond(own)) / recorded.perCpu),
  ];
}

async function downloadRow(server: BenchServer, port: number): Promise<string[]> {
  const bytes = 1_000_000;
  const ids: string[] = [];
  for (let file = 0; file < 50; file++) ids.push(await store(server, bytes));
  const paths = ids.map((id) => `/same/${id.split('/').slice(2).join('/')}`);
  const httpPort = Number(new URL(server.origin).port);
  const runs = await interleaveLoads({
    fidfs: { port, pid: server.daemonPid, work: 'download', bytes, names: ids },
    nginx: { port: httpPort, pid: server.workerPid, work: 'http', bytes, names: paths },
  });
  const [own = [], other = []] = [runs.fidfs, runs.nginx];
  return [
    `download 1 MB, c${CONNECTIONS}, against nginx`,
    withSpread(rates(own), ' MB/s'),
    withSpread(perCpuSecond(own)),
    withSpread(rates(other), ' MB/s'),
    withSpread(perCpuSecond(other)),
    quotient(rates(own), rates(other)),
    quotient(perCpuSecond(own), perCpuSecond(other)),
  ];
}

/**
 * Measures FastDFS's wire protocol. The reference of uploads is real FastDFS in the same run if FASTDFS_CLIENTS names a directory with
 * its programs in bin/, otherwise what it did when it was recorded.
 */
export async function measureFastdfs(directory: string): Promise<string> {
  const port = await freePort();
  const server = await startServer(directory, { FIDFS_FASTDFS_STORAGE: `127.0.0.1:${port}` });
  const programs = process.env.FASTDFS_CLIENTS;
  let fastdfs: FastdfsServers | undefined;
  try {
    if (programs !== undefined) fastdfs = await startFastdfs(programs, `${directory}/fastdfs`);
    const fidfs: WireLoad = { port, pid: server.daemonPid, work: 'upload', bytes: 0 };
    const heading = [
      'work',
      'fidfs, ops/s',
      'per CPU-second',
      'reference, ops/s',
      'per CPU-second',
      'ratio',
      'ratio, CPU',
    ];
    return markdownTable([
      heading,
      await uploadRow('1 KB', 1000, fidfs, fastdfs),
      await uploadRow('100 KB', 100_000, fidfs, fastdfs),
      await downloadRow(server, port),
    ]);
  } finally {
    await fastdfs?.stop();
    await server.stop();
  }
}
