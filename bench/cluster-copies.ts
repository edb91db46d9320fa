import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { type Pair, pidsOf, planPair } from './pair.js';
import { cpuSeconds } from './processes.js';
import { type BenchServer, startServer } from './server.js';
import { median, quantile, short, withSpread } from './table.js';
import { interleave, type Load, postScript, type Run, ratio } from './wrk.js';

const BYTES = 1000;
/** Number of sequential uploads of each kind per round. */
const LONE = 100;
/** Uploads per second while the lag is measured, and the duration of a round. */
const RATE = 1000;
const LAG_SECONDS = 5;

/**
 * Measures 1 KB uploads with `copies` 2 to a pair, against `copies` 1 and a node alone: CPU of both nodes together under
 * load, and the latency of sequential uploads. Returns table rows.
 */
export async function benchCopies(directory: string, rounds: number): Promise<string[][]> {
  const alone = await startServer(join(directory, 'alone'));
  const pair = await startedPair(join(directory, 'pair'), { FIDFS_COPIES: '2' });
  try {
    const [first] = pair.nodes;
    const load = (node: BenchServer, name: string, pids: number[]): Load => {
      const script = postScript(directory, name, {
        ...{ key: node.key, type: 'image/jpeg', body: randomBytes(BYTES), newAt: 0 },
      });
      return { origin: node.origin, script, connections: 64, seconds: 3, pids };
    };
    const runs = await interleave(
      { one: load(alone, 'one', pidsOf(alone)), two: load(first, 'two', pidsOf(...pair.nodes)) },
      rounds,
    );
    return [describeLoad(runs.two, runs.one), await benchLone(first, alone, rounds)];
  } finally {
    await Promise.all([alone.stop(), pair.stop()]);
  }
}

interface StartedPair {
  nodes: [BenchServer, BenchServer];
  stop(): Promise<void>;
}

async function startedPair(directory: string, extra: Record<string, string>): Promise<StartedPair> {
  const pair: Pair = await planPair(directory, extra);
  const nodes = await pair.startBoth();
  return { nodes, stop: async () => void (await Promise.all(nodes.map((node) => node.stop()))) };
}

function describeLoad(two: Run[], one: Run[]): string[] {
  const columns = [two, one].flatMap((runs) => [
    withSpread(runs.map(({ rate }) => rate)),
    withSpread(runs.map(({ cpu }) => cpu)),
  ]);
  const cost = median(two.map(({ cpu }, round) => cpu / (one[round]?.cpu ?? Number.NaN)));
  const compared = `CPU ${short(cost)}, rate ${short(ratio(two, one))}`;
  return ['raw POST 1 KB, c64, `copies` 2, both nodes', '`copies` 1, one node alone', ...columns, compared];
}

/** Measures sequential uploads, alternately to the pair and to the node alone. Returns a table row. */
async function benchLone(first: BenchServer, alone: BenchServer, rounds: number): Promise<string[]> {
  const client = new Uploader();
  const medians: { two: number[]; one: number[] } = { two: [], one: [] };
  try {
    for (let round = 0; round < rounds; round++) {
      for (const [name, node] of [
        ['one', alone],
        ['two', first],
      ] as const) {
        execFileSync('sync');
        const times: number[] = [];
        for (let number = 0; number < LONE; number++) {
          const started = performance.now();
          await client.upload(node);
          times.push(performance.now() - started);
        }
        medians[name].push(median(times));
      }
    }
  } finally {
    await client.close();
  }
  const added = median(medians.two.map((time, round) => time - (medians.one[round] ?? Number.NaN)));
  return [
    ...['lone POST 1 KB, `copies` 2, p50', '`copies` 1, one node alone', withSpread(medians.two, ' ms'), ''],
    ...[withSpread(medians.one, ' ms'), '', `${short(added)} ms more`],
  ];
}

/**
 * Measures the replication lag at `RATE` uploads per second: from when the client has the 201 until the file has its final
 * name on the other node, which is after the sync of its bytes. Returns a table row.
 */
export async function benchLag(directory: string, rounds: number): Promise<string[]> {
  const pair = await startedPair(directory, { FIDFS_COPIES: '1' });
  try {
    const [first, second] = pair.nodes;
    const pids = pidsOf(first, second);
    await lagsOf(first, second, 1);
    const p99: number[] = [];
    const p50: number[] = [];
    const cpu: number[] = [];
    for (let round = 0; round < rounds; round++) {
      execFileSync('sync');
      const before = cpuSeconds(pids);
      const lags = await lagsOf(first, second, LAG_SECONDS);
      cpu.push(((cpuSeconds(pids) - before) / lags.length) * 1e6);
      p99.push(quantile(lags, 0.99));
      p50.push(median(lags));
    }
    return [
      `copying lag, p99, ${RATE} raw POST 1 KB a second, \`copies\` 1`,
      ...['p50 of the same', withSpread(p99, ' ms'), withSpread(cpu), withSpread(p50, ' ms'), '', ''],
    ];
  } finally {
    await pair.stop();
  }
}

/** Uploads to one node at `RATE`; resolves with the lags of all files, in milliseconds. */
async function lagsOf(first: BenchServer, second: BenchServer, seconds: number): Promise<number[]> {
  const client = new Uploader();
  const lags: number[] = [];
  const acknowledged: { path: string; at: number }[] = [];
  const underWay = new Set<Promise<void>>();
  let failure: unknown;
  const upload = () => {
    const one: Promise<void> = client
      .upload(first)
      .then(
        (id) => void acknowledged.push({ path: pathOf(second, id), at: performance.now() }),
        (error: unknown) => {
          failure ??= error;
        },
      )
      .finally(() => underWay.delete(one));
    underWay.add(one);
  };
  // Each look stops at the first missing file: the order of the answers is nearly that of the replication log.
  const look = () => {
    let found = 0;
    for (const { path, at } of acknowledged) {
      if (!existsSync(path)) break;
      lags.push(performance.now() - at);
      found++;
    }
    acknowledged.splice(0, found);
  };
  const started = performance.now();
  const patience = started + seconds * 1000 + 30_000;
  for (let sent = 0; ; ) {
    const elapsed = performance.now() - started;
    for (const due = Math.min(elapsed, seconds * 1000) * (RATE / 1000); sent < due; sent++) upload();
    look();
    if (failure) throw failure;
    if (elapsed > seconds * 1000 && underWay.size === 0 && acknowledged.length === 0) break;
    if (performance.now() > patience) throw new Error(`${acknowledged.length} files did not get to the other node`);
    await sleep(1);
  }
  await client.close();
  return lags;
}

/** Returns the path of a file on a node's disk. */
export function pathOf({ settings }: BenchServer, id: string): string {
  return join(settings.storePaths[0] ?? '', 'data', id.split('/').slice(2).join('/'));
}

/** Uploads files with different contents. */
class Uploader {
  private readonly agent = new Agent({ connections: 64, pipelining: 1 });
  private readonly noise = randomBytes(2 ** 20);
  private sent = 0;

  /** Resolves with the ID. */
  async upload({ origin, key }: BenchServer): Promise<string> {
    const offset = (this.sent++ * 7) % (this.noise.length - BYTES);
    const { statusCode, body } = await request(`${origin}/upload?ext=jpg`, {
      ...{ method: 'POST', dispatcher: this.agent, body: this.noise.subarray(offset, offset + BYTES) },
      headers: { authorization: `Bearer ${key}`, accept: 'text/plain' },
    });
    const text = await body.text();
    if (statusCode !== 201) throw new Error(`upload: ${statusCode} ${text}`);
    return text.trim();
  }

  close(): Promise<void> {
    return this.agent.close();
  }
}
