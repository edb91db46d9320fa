import { randomBytes } from 'node:crypto';
import type { BenchServer } from './server.js';
import { short, withSpread } from './table.js';
import { getScript, interleave, type Load, type Run, ratio } from './wrk.js';

/** The reference locations that serve the same files. */
const SMALL = { cached: 'plain alias, open_file_cache', uncached: 'plain alias, no open_file_cache' };
const LARGE = { same: 'plain alias, same settings' };
const SIZES: [name: string, bytes: number, files: number, references: Record<string, string>][] = [
  ['1 KB', 1000, 2000, SMALL],
  ['10 KB', 10_000, 2000, SMALL],
  ['100 KB', 100_000, 500, LARGE],
  ['1 MB', 1_000_000, 100, LARGE],
];

/** Stores a file; returns its ID. */
export async function store(server: BenchServer, bytes: number): Promise<string> {
  const answer = await fetch(`${server.origin}/upload?ext=jpg`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.key}`, accept: 'text/plain' },
    body: new Uint8Array(randomBytes(bytes)),
  });
  if (answer.status !== 201) throw new Error(`upload: ${answer.status}`);
  return (await answer.text()).trim();
}

/** Measures GET of files in the page cache, against the same nginx with a plain `alias`. Returns table rows. */
export async function benchDownloads(server: BenchServer, directory: string, rounds: number): Promise<string[][]> {
  const rows: string[][] = [];
  for (const [name, bytes, count, references] of SIZES) {
    const ids: string[] = [];
    for (let file = 0; file < count; file++) ids.push(await store(server, bytes));
    const load = (location: string): Load => {
      const paths = ids.map((id) =>
        location === 'fidfs' ? `/${id}` : `/${location}/${id.split('/').slice(2).join('/')}`,
      );
      return {
        ...{ origin: server.origin, connections: 64, seconds: 2, pids: [server.workerPid] },
        script: getScript(directory, `get-${bytes}-${location}`, paths),
      };
    };
    const locations = ['fidfs', ...Object.keys(references)];
    const runs = await interleave(Object.fromEntries(locations.map((one) => [one, load(one)])), rounds);
    const own = runs.fidfs as Run[];
    for (const [location, label] of Object.entries(references)) {
      const reference = runs[location] as Run[];
      const columns = [own, reference].flatMap((some) => [
        withSpread(some.map((run) => run.rate)),
        withSpread(some.map((run) => run.cpu)),
      ]);
      rows.push([`GET ${name}`, label, ...columns, short(ratio(own, reference))]);
    }
  }
  return rows;
}
