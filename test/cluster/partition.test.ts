import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { AppenderLoad } from '../helpers/appender-load.js';
import { createLinkedCluster, holds, ready, setBetween, startAll, startCluster } from '../helpers/cluster.js';
import { WireLoad } from '../helpers/fastdfs-load.js';
import { serveWire } from '../helpers/fastdfs-server.js';
import { type AnyLoad, broken, Load, promisedBy } from '../helpers/load.js';
import type { TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';

type Three = [TestNode, TestNode, TestNode];

/** Set by `npm run storm -- --rounds N`. */
const ROUNDS = Number(process.env.STORM_ROUNDS ?? 2);

/** Names of all files on a node's disk, sorted. */
function namesOn(node: TestNode): string[] {
  const entries = readdirSync(join(node.storePath, 'data'), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
    .sort();
}

/** Resolves when all nodes have the same files. */
async function untilEqual(nodes: readonly TestNode[]): Promise<void> {
  const [first, ...others] = nodes as [TestNode, ...TestNode[]];
  const areEqual = () => others.every((node) => namesOn(node).join() === namesOn(first).join());
  await first.until(areEqual, 'equal to the others', 60);
}

t.test(
  'uploads and deletions on both sides of a partition: afterwards all nodes hold the same, and what was promised',
  async (t) => {
    const random = seeded(t);
    const env = { FIDFS_COPIES: '1' };
    const { nodes, links } = await createLinkedCluster(t, { groups: ['group1', 'group1', 'group1'], env });
    const [a, b, c] = nodes as Three;
    const http = [a, b, c].map((node) => new Load(node, random, { clients: 3, largest: 300_000 }));
    const loads: AnyLoad[] = [...http];
    for (const node of nodes) {
      const { storagePort } = await serveWire(t, node);
      loads.push(new WireLoad(storagePort, random, { clients: 2, deletions: 20, slaves: 10 }));
      loads.push(new AppenderLoad(storagePort, random, 1));
    }
    await startAll(nodes);
    const common = await Promise.all(Array.from({ length: 40 }, async () => (await a.upload(random.bytes(2000))).id));
    for (const node of nodes) await holds(node, common);
    for (let round = 0; round < ROUNDS; round++) {
      setBetween(links, [0], [1, 2], random.below(2) === 0 ? 'cut' : 'silent');
      for (const load of loads) load.start();
      // Deletions on both sides of the partition, some of the same files.
      const both = common.splice(0, 10);
      const deletions = both.flatMap((id, number) =>
        number % 2 === 0 ? [a.delete(id), c.delete(id)] : [b.delete(id)],
      );
      const statuses = (await Promise.all(deletions)).map(({ status }) => status);
      t.ok(
        statuses.every((status) => status === 204),
        'either side takes deletions',
      );
      // A partition of random length.
      await sleep(700 + random.below(1000));
      for (const load of loads) await load.stop();
      t.ok(
        http.every((load) => load.count(201) > 0),
        'and uploads',
      );
      setBetween(links, [0], [1, 2], 'up');
      await untilEqual(nodes);
      for (const id of both) for (const node of nodes) t.notOk(node.hasFile(id), 'no deleted file is back');
    }
    for (const node of nodes) await ready(node);
    const promised = promisedBy(loads);
    const isRight = async () => (await Promise.all(nodes.map((node) => broken(node, promised)))).flat().length === 0;
    // All have the same names; the last versions of appenders and metadata may still be on their way.
    await a.until(isRight, 'up to date', 60).catch(() => undefined);
    for (const node of nodes) {
      t.strictSame(await broken(node, promised), [], 'everything that was promised holds on each node');
      await node.assertClean(t);
    }
  },
);

t.test('what is uploaded is readable through every other node at once, while copying stands still', async (t) => {
  const random = seeded(t);
  const env = { FIDFS_COPIES: '1' };
  const nodes = (await startCluster(t, { groups: ['group1', 'group1', 'group1'], env })) as Three;
  const [a, b, c] = nodes;
  for (const node of [b, c]) process.kill(node.daemonPid(), 'SIGSTOP');
  const ids: string[] = [];
  const wrong: string[] = [];
  for (let number = 0; number < 100; number++) {
    const content = random.bytes(3000);
    const { id } = await a.upload(content);
    ids.push(id);
    for (const node of [b, c]) {
      const { status, body } = await node.get(id);
      if (status !== 200 || !body.equals(content)) wrong.push(`${id}: ${status}`);
    }
  }
  t.strictSame(wrong, [], 'never a 404');
  for (const node of [b, c]) process.kill(node.daemonPid(), 'SIGCONT');
  for (const node of nodes) await holds(node, ids);
  const unequal: unknown[] = [];
  for (const id of ids) {
    const heads = await Promise.all(nodes.map(async (node) => (await node.get(id)).headers));
    const [first] = heads.map(({ etag, 'last-modified': modified }) => `${etag} ${modified}`);
    const all = heads.map(({ etag, 'last-modified': modified }) => `${etag} ${modified}`);
    if (all.some((one) => one !== first)) unequal.push([id, ...all]);
  }
  t.strictSame(unequal, [], 'ETag and Last-Modified are equal on all nodes');
});
