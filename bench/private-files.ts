import { join } from 'node:path';
import { linkQuery } from '../daemon/config/signed-link.js';
import { type BenchServer, startServer } from './server.js';
import { short, withSpread } from './table.js';
import { getScript, interleave, type Load, ratio } from './wrk.js';

const ROUNDS = 9;
const FILES = 1000;
const BYTES = 1000;
const KEY = 'bench-download-key-0123456789';

/** Uploads small files; returns their IDs. */
async function uploadFiles({ origin, key }: BenchServer): Promise<string[]> {
  const ids: string[] = [];
  for (let number = 0; number < FILES; number++) {
    const headers = { authorization: `Bearer ${key}`, accept: 'text/plain' };
    const body = `${number} `.padEnd(BYTES, 'x');
    const answer = await fetch(`${origin}/upload?ext=jpg`, { method: 'POST', headers, body });
    if (answer.status !== 201) throw new Error(`upload: ${answer.status}`);
    ids.push((await answer.text()).trim());
  }
  return ids;
}

/** Measures downloads by signed links against open ones. Returns a table row. */
export async function benchPrivateFiles(directory: string): Promise<string[]> {
  const servers: BenchServer[] = [];
  try {
    const loadOf = async (
      name: string,
      extra: Record<string, string>,
      query: (id: string) => string,
    ): Promise<Load> => {
      const server = await startServer(join(directory, name), extra);
      servers.push(server);
      const paths = (await uploadFiles(server)).map((id) => `/${id}${query(id)}`);
      const script = getScript(directory, name, paths);
      return { origin: server.origin, script, connections: 64, seconds: 2, pids: [server.workerPid] };
    };
    const expires = Math.floor(Date.now() / 1000) + 86_400;
    const runs = await interleave(
      {
        signed: await loadOf('signed', { FIDFS_DOWNLOADS: 'signed', FIDFS_DOWNLOAD_KEY: KEY }, (id) =>
          linkQuery(KEY, { id, expires }),
        ),
        open: await loadOf('open', {}, () => ''),
      },
      ROUNDS,
    );
    const columns = [runs.signed, runs.open].flatMap((some) => [
      withSpread(some.map(({ rate }) => rate)),
      withSpread(some.map(({ cpu }) => cpu)),
    ]);
    return ['signed GET 1 KB', 'open GET 1 KB', ...columns, short(ratio(runs.signed, runs.open))];
  } finally {
    for (const server of servers) await server.stop();
  }
}
