import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { request } from 'undici';
import { pidsOf } from './pair.js';
import { type BenchServer, startServer } from './server.js';
import { markdownTable, median, short, withSpread } from './table.js';
import { row } from './uploads.js';
import { interleave, type Load, postScript } from './wrk.js';

const ROUNDS = 7;
const LARGE = 100_000_000;

/** Measures 1 KB uploads: all duplicates, all new, and all new with deduplication off. Returns a table. */
export async function measureDeduplication(directory: string): Promise<string> {
  const on = await startServer(join(directory, 'on'));
  // On a separate node, because the records would enlarge the index of the other one.
  const same = await startServer(join(directory, 'same'));
  const off = await startServer(join(directory, 'off'), { FIDFS_DEDUPLICATE: 'false' });
  try {
    const load = (node: BenchServer, name: string, newAt?: number): Load => {
      const body = randomBytes(1000);
      const script = postScript(directory, name, { key: node.key, type: 'image/jpeg', body, newAt });
      return { origin: node.origin, script, connections: 64, seconds: 3, pids: pidsOf(node) };
    };
    const runs = await interleave(
      { duplicates: load(same, 'duplicates'), fresh: load(on, 'fresh', 0), without: load(off, 'without', 0) },
      ROUNDS,
    );
    return markdownTable([
      ['1 KB uploads, c64', 'reference', 'ops/s', 'CPU us/op', 'reference, ops/s', 'CPU us/op', 'ratio'],
      row('all duplicates', 'all new', runs.duplicates, runs.fresh),
      row('all new, `deduplicate` on', 'the same, off', runs.fresh, runs.without),
      await benchKnown(on),
    ]);
  } finally {
    await Promise.all([on, same, off].map((node) => node.stop()));
  }
}

/** Measures offering a large stored file by its hash, against sending it; the hash is computed before. Returns a table row. */
async function benchKnown({ origin, key }: BenchServer): Promise<string[]> {
  const content = Buffer.concat(Array.from({ length: LARGE / 1e6 }, () => randomBytes(1e6)));
  const headers = { authorization: `Bearer ${key}` };
  const send = async (path: string, body: Buffer | string): Promise<unknown> => {
    const answer = await request(origin + path, { method: 'POST', headers, body });
    if (answer.statusCode > 201) throw new Error(`${path}: ${answer.statusCode} ${await answer.body.text()}`);
    return answer.body.json();
  };
  const sent: number[] = [];
  const proven: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    content.writeUInt32BE(round, 0);
    const sha256 = createHash('sha256').update(content).digest('hex');
    let started = performance.now();
    await send('/upload?ext=bin', content);
    sent.push(performance.now() - started);
    started = performance.now();
    const claim = JSON.stringify({ sha256, size: content.length, ext: 'bin' });
    const { nonce, ranges } = (await send('/upload/known', claim)) as { nonce: string; ranges: [number, number][] };
    const proof = createHash('sha256').update(nonce);
    for (const [offset, length] of ranges) proof.update(content.subarray(offset, offset + length));
    await send('/upload/known', JSON.stringify({ nonce, proof: proof.digest('hex') }));
    proven.push(performance.now() - started);
  }
  const faster = median(sent.map((time, round) => time / (proven[round] ?? Number.NaN)));
  const columns = [withSpread(proven, ' ms'), '', withSpread(sent, ' ms'), '', `${short(faster)} times faster`];
  return ['100 MB, `POST /upload/known` and its answer', 'sending it', ...columns];
}
