/*
 * `npm run bench` measures, prints tables, and writes them into bench/README.md; `npm run bench cluster` does one part. Not
 * part of the tests, because it needs an idle machine.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { version } from '../daemon/version.js';
import { measureAdoption } from './adopt.js';
import { measureCluster } from './cluster.js';
import { measureDeduplication } from './deduplication.js';
import { benchDownloads } from './downloads.js';
import { measureFastdfs } from './fastdfs.js';
import { measureIndex } from './index-size.js';
import { benchLarge } from './large.js';
import { measureMultipart } from './multipart.js';
import { memoryOf } from './processes.js';
import { measureResumable } from './resumable.js';
import { startServer } from './server.js';
import { measureSync } from './sync.js';
import { markdownTable, short } from './table.js';
import { benchUploads } from './uploads.js';
import { measureWeb } from './web.js';

const ROUNDS = 5;
const README = fileURLToPath(new URL('../../bench/README.md', import.meta.url));

function sh(command: string): string {
  return execFileSync('sh', ['-c', command], { encoding: 'utf8' }).trim();
}

function install(program: string, from = program): void {
  try {
    sh(`command -v ${program}`);
  } catch {
    execFileSync('apt-get', ['install', '-y', '-q', from], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
}

/** The daemon's resident memory when idle, in MB. */
async function idleMemory(directory: string): Promise<string> {
  const server = await startServer(directory);
  await sleep(3000);
  const memory = memoryOf(server.daemonPid, 'VmRSS');
  await server.stop();
  return `${short(memory / 1e6)} MB`;
}

async function measureIndexes(directory: string): Promise<string> {
  const idle = await idleMemory(join(directory, 'empty'));
  const few = await measureIndex(join(directory, 'few', 'data'), 10_000);
  const many = await measureIndex(join(directory, 'many', 'data'), 1_000_000);
  const idleMany = await idleMemory(join(directory, 'many'));
  const line = (name: string, pick: (costs: typeof few) => number) => [
    name,
    short(pick(few)),
    short(pick(many)),
    short(pick(many) / pick(few)),
  ];
  return markdownTable([
    ['index', '10,000 files', '1,000,000 files', 'ratio'],
    line('insert, batches of 64, us a file', (costs) => costs.insert),
    line('find by ID, us', (costs) => costs.findById),
    line('find by content, us', (costs) => costs.findByContent),
    line('bytes a file', (costs) => costs.bytesPerFile),
    ["the daemon's memory, idle (no files; 1,000,000)", idle, idleMany, ''],
  ]);
}

async function measureTraffic(directory: string): Promise<string> {
  const server = await startServer(directory);
  try {
    // Uploads first, because the disk creates files slowly for minutes after large files were deleted.
    const uploads = await benchUploads(server, directory, ROUNDS);
    const downloads = await benchDownloads(server, directory, ROUNDS);
    const large = await benchLarge(server, directory, ROUNDS);
    return describeTraffic([...downloads, ...uploads, ...large.rows], large.peak);
  } finally {
    await server.stop();
  }
}

function describeTraffic(rows: string[][], peakBytes: number): string {
  const heading = ['work', 'reference', 'fidfs, ops/s', 'CPU us/op', 'reference, ops/s', 'CPU us/op', 'ratio'];
  const peak = `The daemon's peak memory over the 1 GiB uploads: ${short(peakBytes / 1e6)} MB.`;
  return `${markdownTable([heading, ...rows])}\n\n${peak}`;
}

/** The measurements in their order, by their names on the command line. */
const PARTS: Record<string, (directory: string) => Promise<string>> = {
  // First, before other parts have used the disk.
  index: measureIndexes,
  traffic: measureTraffic,
  cluster: measureCluster,
  deduplication: measureDeduplication,
  resumable: measureResumable,
  multipart: measureMultipart,
  sync: measureSync,
  fastdfs: measureFastdfs,
  adopt: measureAdoption,
  web: measureWeb,
};

function installPrograms(parts: readonly string[]): void {
  install('wrk');
  if (parts.includes('cluster')) install('rsync');
  if (parts.includes('web')) install('vipsthumbnail', 'libvips-tools');
}

/** Replaces a part's tables in the README. */
function keep(part: string, results: string): void {
  const before = readFileSync(README, 'utf8');
  const place = new RegExp(`(<!-- ${part} -->\n).*?(\n<!-- end of ${part} -->)`, 's');
  if (!place.test(before)) throw new Error(`${README} has no place for the results of ${part}`);
  writeFileSync(
    README,
    before.replace(place, (_, begin: string, end: string) => begin + results + end),
  );
}

/** Describes date, version and machine of a measurement. */
function circumstances(directory: string, part: string): string {
  const nginx = sh('nginx -v 2>&1').replace('nginx version: ', '');
  const programs = `fidfs ${version}, Node ${process.version}, ${nginx}, Linux ${release()}`;
  const machine = `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${sh(`stat -f -c %T ${directory}`)}`;
  const date = new Date().toISOString().slice(0, 10);
  return `${date}, ${programs}; ${machine}. Made by \`npm run bench ${part}\`: medians of interleaved runs (least to most).`;
}

const named = process.argv.slice(2);
const unknown = named.filter((name) => !(name in PARTS));
if (unknown.length > 0)
  throw new Error(`no such part: ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}`);
const chosen = Object.keys(PARTS).filter((name) => named.length === 0 || named.includes(name));
installPrograms(chosen);
const directory = mkdtempSync(join(process.env.BENCH_DIRECTORY ?? '/var/tmp', 'fidfs-bench-'));
try {
  for (const part of chosen) {
    const within = join(directory, part);
    mkdirSync(within);
    const tables = (await PARTS[part]?.(within)) ?? '';
    process.stdout.write(`${tables}\n\n`);
    keep(part, `\n${circumstances(directory, part)}\n\n${tables}\n`);
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
