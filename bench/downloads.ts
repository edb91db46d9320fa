import { randomBytes } from 'node:crypto';
import type { BenchServer } from './server.js';
import { short, withSpread } from './table.js';
import { getScript, interleave, type Load, ratio } from './wrk.js';

const SIZES: [name: string, bytes: number, files: number][] = [
  ['1 KB', 1000, 2000],
  ['10 KB', 10_000, 2000],
  ['100 KB', 100_000, 500],
  ['1 MB', 1_000_000, 100],
];

async function store(server: BenchServer, bytes: number): Promise<string> {
  const answer = await fetch(`${server.origin}/upload?ext=jpg`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.key}`, accept: 'text/plain' },
    body: new Uint8Array(randomBytes(bytes)),
  });
  if (answer.status !== 201) throw new Error(`upload: ${answer.status}`);
  return (await answer.text()).trim();
}

/** GET of hot files, against the same nginx sending the same files as plain `alias`. Returns table rows. */
export async function benchDownloads(server: BenchServer, directory: string, rounds: number): Promise<string[][]> {
  const rows: string[][] = [];
  for (const [name, bytes, count] of SIZES) {
    const ids: string[] = [];
    for (let file = 0; file < count; file++) ids.push(await store(server, bytes));
    const plain = (prefix: string) => ids.map((id) => `/${prefix}/${id.split('/').slice(2).join('/')}`);
    const load = (label: string, paths: string[]): Load => ({
      ...{ origin: server.origin, connections: 64, seconds: 2, pids: [server.workerPid] },
      script: getScript(directory, `get-${bytes}-${label}`, paths),
    });
    const runs = await interleave(
      {
        fidfs: load(
          'fidfs',
          ids.map((id) => `/${id}`),
        ),
        cached: load('cached', plain('cached')),
        uncached: load('uncached', plain('uncached')),
      },
      rounds,
    );
    for (const [label, reference] of [
      ['open_file_cache', runs.cached],
      ['no open_file_cache', runs.uncached],
    ] as const) {
      rows.push([
        `GET ${name}`,
        `plain alias, ${label}`,
        ...[runs.fidfs, reference].flatMap((one) => [
          withSpread(one.map((run) => run.rate)),
          withSpread(one.map((run) => run.cpu)),
        ]),
        short(ratio(runs.fidfs, reference)),
      ]);
    }
  }
  return rows;
}
