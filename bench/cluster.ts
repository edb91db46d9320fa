/*
 * The cost of a cluster: copies, proxying to a peer, filling an empty node. All nodes share this machine and one file system,
 * so CPU is the most meaningful figure; the sync of one node waits for the writes of the other.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { benchAntiEntropy } from './cluster-anti-entropy.js';
import { benchCopies, benchLag } from './cluster-copies.js';
import { benchFill } from './cluster-fill.js';
import { store } from './downloads.js';
import { planPair } from './pair.js';
import { markdownTable, short, withSpread } from './table.js';
import { getScript, interleave, type Load, ratio } from './wrk.js';

const ROUNDS = 5;
/** Rounds of measurements with little variance. */
const FEW_ROUNDS = 3;
/** Rounds of measurements that take long. */
const FILLS = 2;
const BYTES = 100_000;
const FILES = 500;

/** Measures several nodes together, in about four minutes. Returns a table. */
export async function measureCluster(directory: string): Promise<string> {
  const rows: string[][] = [];
  const within = (name: string): string => {
    const inner = join(directory, name);
    mkdirSync(inner);
    return inner;
  };
  const add = (...added: string[][]) => {
    // Printed immediately, because the whole takes minutes.
    for (const row of added) process.stderr.write(`${row.join(' | ')}\n`);
    rows.push(...added);
  };
  add(...(await benchCopies(within('copies'), ROUNDS)));
  add(await benchLag(within('lag'), FEW_ROUNDS));
  add(await benchReads(within('reads'), FEW_ROUNDS));
  add(await benchFill(within('fill'), FILLS));
  add(await benchAntiEntropy(within('anti-entropy'), FEW_ROUNDS));
  const heading = [
    'work of two nodes',
    'reference',
    'fidfs',
    'CPU us/op',
    'reference',
    'CPU us/op',
    'fidfs by reference',
  ];
  return markdownTable([heading, ...rows]);
}

/** Measures GET through one node of files that only another node has, against GET from that node. Returns a table row. */
async function benchReads(directory: string, rounds: number): Promise<string[]> {
  // In another group, because within a group the node would copy the files.
  const pair = await planPair(directory, {}, ['group1', 'group2']);
  const [holder, asker] = await pair.startBoth();
  try {
    const ids: string[] = [];
    for (let file = 0; file < FILES; file++) ids.push(await store(holder, BYTES));
    const script = getScript(
      directory,
      'get',
      ids.map((id) => `/${id}`),
    );
    const load = (origin: string, pids: number[]): Load => ({ origin, script, connections: 64, seconds: 2, pids });
    const runs = await interleave(
      {
        peer: load(asker.origin, [asker.workerPid, holder.workerPid]),
        local: load(holder.origin, [holder.workerPid]),
      },
      rounds,
    );
    const columns = [runs.peer, runs.local].flatMap((some) => [
      withSpread(some.map(({ rate }) => rate)),
      withSpread(some.map(({ cpu }) => cpu)),
    ]);
    return [
      ...['GET 100 KB from a peer through this node', 'the peer itself', ...columns],
      `rate ${short(ratio(runs.peer, runs.local))}`,
    ];
  } finally {
    await Promise.all([holder.stop(), asker.stop()]);
  }
}
