import { join } from 'node:path';
import { Pool } from 'undici';
import { fillIndex, secondOf } from './index-size.js';
import { cpuSeconds } from './processes.js';
import { type BenchServer, startServer } from './server.js';
import { median, short, withSpread } from './table.js';

const ROUNDS = 7;
/** Pages of each round. */
const PAGES = 20;
const FEW = 10_000;
const MANY = 1_000_000;
/** Files of a page, and IDs of a request for many. */
const FILES = 1000;

/** Something to measure: `run` is timed. */
interface Work {
  server: BenchServer;
  /** Resolves with what `run` needs; not timed. */
  prepare?: (pool: Pool) => Promise<string[]>;
  run: (pool: Pool, prepared: string[], round: number) => Promise<void>;
  /** How many operations `run` does. */
  count: number;
  connections: number;
}

/** Milliseconds of one operation, and of the CPU that nginx and the daemon need for it, of each round. */
interface Costs {
  times: number[];
  cpu: number[];
}

/** Measures each in turn, so that all see the same machine. */
async function inTurn(works: readonly Work[]): Promise<Costs[]> {
  const costs = works.map((): Costs => ({ times: [], cpu: [] }));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [number, { server, prepare, run, count, connections }] of works.entries()) {
      const pool = new Pool(server.origin, { connections });
      const prepared = (await prepare?.(pool)) ?? [];
      const pids = [server.daemonPid, server.workerPid];
      const before = cpuSeconds(pids);
      const started = performance.now();
      await run(pool, prepared, round);
      costs[number]?.times.push((performance.now() - started) / count);
      costs[number]?.cpu.push(((cpuSeconds(pids) - before) * 1000) / count);
      await pool.close();
    }
  }
  return costs;
}

function row(work: string, reference: string, own: Costs, other: Costs): string[] {
  const columns = [own, other].flatMap(({ times, cpu }) => [withSpread(times, ' ms'), withSpread(cpu, ' ms')]);
  return [work, reference, ...columns, `${short(median(own.times) / median(other.times))} times the time`];
}

async function ask(
  pool: Pool,
  { key }: BenchServer,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body: string | null = null,
): Promise<string> {
  const headers = { authorization: `Bearer ${key}`, accept: 'text/plain' };
  const answer = await pool.request({ method, path, headers, body });
  const text = await answer.body.text();
  if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
  return text;
}

/** Pages that end at any second of a store with `files` files. */
async function pagesOf(directory: string, files: number): Promise<Work> {
  await fillIndex(join(directory, 'data'), files);
  // Without the scrub, because the files of the records do not exist.
  const server = await startServer(directory, { FIDFS_SCRUB_DAYS: '0' });
  const first = secondOf(0);
  const seconds = secondOf(files - 1) - first + 1;
  const run = async (pool: Pool, _prepared: string[], round: number) => {
    for (let page = 0; page < PAGES; page++) {
      const to = first + 1 + (((round * PAGES + page) * 37) % seconds);
      const listed = JSON.parse(await ask(pool, server, 'GET', `/files?limit=${FILES}&to=${to}`)).files.length;
      if (listed !== FILES) throw new Error(`a page of ${listed}`);
    }
  };
  return { server, run, count: PAGES, connections: 1 };
}

async function pagesRow(directory: string): Promise<string[]> {
  const works: Work[] = [];
  try {
    for (const files of [MANY, FEW]) works.push(await pagesOf(join(directory, String(files)), files));
    const [many, few] = (await inTurn(works)) as [Costs, Costs];
    return row('`GET /files`, a page of 1,000, 1,000,000 files there', '10,000 files there', many, few);
  } finally {
    for (const { server } of works) await server.stop();
  }
}

/** Deletions of 1,000 files: by one request, and by 1,000, one after the other and 16 at a time. */
async function deletionRows(directory: string): Promise<string[][]> {
  const server = await startServer(directory);
  let uploads = 0;
  const prepare = (pool: Pool) =>
    Promise.all(
      Array.from({ length: FILES }, async () =>
        (await ask(pool, server, 'POST', '/upload?ext=txt', `file ${++uploads}`)).trim(),
      ),
    );
  const atOnce = async (pool: Pool, ids: string[]) => {
    const { results } = JSON.parse(await ask(pool, server, 'POST', '/delete', JSON.stringify({ ids })));
    const deleted = results.filter(({ status }: { status: string }) => status === 'deleted').length;
    if (deleted !== FILES) throw new Error(`${deleted} deleted`);
  };
  // The pool has as many requests under way as it has connections.
  const single = async (pool: Pool, ids: string[]) => {
    await Promise.all(ids.map((id) => ask(pool, server, 'DELETE', `/${id}`)));
  };
  const common = { server, prepare, count: 1 };
  try {
    const [many, lone, parallel] = (await inTurn([
      { ...common, run: atOnce, connections: 16 },
      { ...common, run: single, connections: 1 },
      { ...common, run: single, connections: 16 },
    ])) as [Costs, Costs, Costs];
    const work = '`POST /delete` of 1,000 IDs';
    return [
      row(work, '1,000 `DELETE`, one after the other', many, lone),
      row(work, '1,000 `DELETE`, 16 at a time', many, parallel),
    ];
  } finally {
    await server.stop();
  }
}

/** Measures lists, and deletions of many files. Returns table rows: work, reference, time and CPU of both, ratio. */
export async function benchLists(directory: string): Promise<string[][]> {
  return [await pagesRow(join(directory, 'pages')), ...(await deletionRows(join(directory, 'deletions')))];
}
