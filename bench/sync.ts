/*
 * The cost of making a batch durable by several means. Runs in its own process, because libuv reads its number of threads, here
 * that of the daemon, once.
 */
import { type ChildProcess, execFile, fork, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { realCalls } from '../daemon/store/calls.js';
import { cpuSeconds, reapedCpuSeconds } from './processes.js';
import { markdownTable, median, withSpread } from './table.js';

const ROUNDS = 9;
const FILE_SIZE = 1000;
/** Files per batch, and batches per round: a single upload, and a batch of 64 connections. */
const LOADS = [
  [1, 100],
  [64, 40],
] as const;
const THREADS = '16';

/** New files in a directory, and a write to the end of a journal; none of it is synced yet. */
interface Batch {
  directory: string;
  files: string[];
  /** Descriptor, open for appending. */
  journal: number;
}

interface Method {
  sync(batch: Batch): Promise<unknown>;
  /** A process that takes part in every sync. */
  helper?: ChildProcess;
}

/** Milliseconds and CPU microseconds of one batch. */
interface Cost {
  latency: number;
  cpu: number;
}

/** Syncs each file, the directory with their names and the journal in parallel, in libuv's threads. */
function eachFile(sync: (descriptor: number) => Promise<void>): Method['sync'] {
  return async ({ directory, files, journal }) => {
    const opened = [directory, ...files].map((path) => openSync(path, 'r'));
    await Promise.all([...opened, journal].map((descriptor) => sync(descriptor)));
    for (const descriptor of opened) closeSync(descriptor);
  };
}

/** A helper process in Perl, which every Debian has, that calls syncfs for each input line and prints the result. */
function perlHelper(directory: string): Method {
  const number = { x64: 306, arm64: 267 }[process.arch as string];
  if (number === undefined) throw new Error(`the number of syncfs on ${process.arch} is not known here`);
  const program = `$| = 1; open my $d, "<", shift or die; while (<STDIN>) { print syscall(${number}, fileno $d), "\\n" }`;
  const helper = spawn('perl', ['-e', program, directory], { stdio: ['pipe', 'pipe', 'inherit'] });
  const sync = async () => {
    helper.stdin.write('\n');
    const [answer] = await once(helper.stdout, 'data');
    if (String(answer) !== '0\n') throw new Error('syncfs failed');
  };
  return { sync, helper };
}

function methods(directory: string): Record<string, Method> {
  const descriptor = openSync(directory, 'r');
  return {
    'syncfs by koffi': { sync: () => realCalls.syncfs(descriptor) },
    'syncfs by a process that stays (Perl)': perlHelper(directory),
    'a process each time (`sync -f`)': { sync: () => promisify(execFile)('sync', ['-f', directory]) },
    'fsync of each file, directory and journal': { sync: eachFile(realCalls.fsync) },
    'fdatasync of the same': { sync: eachFile(realCalls.fdatasync) },
    'no sync': { sync: async () => {} },
  };
}

function writeBatch(directory: string, prefix: string, count: number, journal: number): Batch {
  const content = randomBytes(FILE_SIZE);
  const files = Array.from({ length: count }, (_, number) => join(directory, `${prefix}-${number}`));
  for (const file of files) {
    const descriptor = openSync(file, 'wx');
    writeSync(descriptor, content);
    closeSync(descriptor);
  }
  // As many whole pages as SQLite would append to its WAL for these files.
  writeSync(journal, Buffer.alloc(4096 * (2 + Math.ceil(count / 8))));
  return { directory, files, journal };
}

async function measure({ sync, helper }: Method, directory: string, count: number, batches: number): Promise<Cost> {
  mkdirSync(directory);
  const journal = openSync(join(directory, 'journal'), 'a');
  const latencies: number[] = [];
  const helpers = helper?.pid === undefined ? [] : [helper.pid];
  const others = () => cpuSeconds(helpers) + reapedCpuSeconds(process.pid);
  const othersBefore = others();
  let own = 0;
  for (let number = 0; number < batches; number++) {
    const batch = writeBatch(directory, String(number), count, journal);
    const before = process.cpuUsage();
    const started = performance.now();
    await sync(batch);
    latencies.push(performance.now() - started);
    const used = process.cpuUsage(before);
    own += used.user + used.system;
  }
  closeSync(journal);
  return { latency: median(latencies), cpu: (own + (others() - othersBefore) * 1e6) / batches };
}

async function measureAll(directory: string): Promise<string> {
  const all = methods(directory);
  const rows = [['1 KB files of a batch', 'made durable by', 'latency, p50', 'CPU us a batch']];
  for (const [count, batches] of LOADS) {
    const costs = Object.keys(all).map((name) => ({ name, found: [] as Cost[] }));
    // The first round warms up.
    for (let round = 0; round <= ROUNDS; round++) {
      for (const { name, found } of costs) {
        const cost = await measure(all[name] as Method, join(directory, 'batches'), count, batches);
        rmSync(join(directory, 'batches'), { recursive: true });
        await promisify(execFile)('sync', ['-f', directory]);
        if (round > 0) found.push(cost);
      }
    }
    for (const { name, found } of costs) {
      const latency = withSpread(
        found.map((cost) => cost.latency),
        ' ms',
      );
      rows.push([String(count), name, latency, withSpread(found.map((cost) => cost.cpu))]);
    }
  }
  for (const { helper } of Object.values(all)) helper?.kill();
  return markdownTable(rows);
}

/** Measures the cost of making a batch durable by several means. Returns a table. */
export async function measureSync(directory: string): Promise<string> {
  const env = { ...process.env, UV_THREADPOOL_SIZE: THREADS };
  const child = fork(fileURLToPath(import.meta.url), [directory], { env });
  const ended = once(child, 'exit');
  const [table] = await Promise.race([once(child, 'message'), ended.then(() => [undefined])]);
  await ended;
  if (typeof table !== 'string') throw new Error('the measurement of syncs failed; its words are above');
  return table;
}

if (process.send && import.meta.filename === process.argv[1]) {
  const table = await measureAll(process.argv[2] as string);
  process.send(table, () => process.disconnect());
}
