import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { AppenderLoad } from '../helpers/appender-load.js';
import { createCluster, ready, startAll, startCluster } from '../helpers/cluster.js';
import { WireLoad } from '../helpers/fastdfs-load.js';
import { serveWire } from '../helpers/fastdfs-server.js';
import { type AnyLoad, broken, Load, type Promised, promisedBy } from '../helpers/load.js';
import type { TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';
import { ReadLoad } from '../helpers/read-load.js';

type Three = [TestNode, TestNode, TestNode];
const GROUP = ['group1', 'group1', 'group1'];

/** Set by `npm run storm -- --rounds N`. */
const ROUNDS = Number(process.env.STORM_ROUNDS ?? 3);

/** Kills every process of a node, the supervisor first, which would restart the others, and starts the node again. */
async function killNode(node: TestNode): Promise<void> {
  for (const pid of node.pids()) process.kill(pid, 'SIGKILL');
  await node.ended();
  await node.start();
}

// Seen to fail without waitForAcknowledgements() in waitForCopies().
t.test(
  'with two copies, nodes are killed under load, and then one is destroyed for good: nothing is lost',
  async (t) => {
    const random = seeded(t);
    const nodes = (await createCluster(t, { groups: GROUP })) as Three;
    const loads: AnyLoad[] = [];
    for (const node of nodes) {
      const { storagePort } = await serveWire(t, node);
      loads.push(new Load(node, random, { clients: 2, largest: 500_000 }));
      loads.push(new WireLoad(storagePort, random, { clients: 2, deletions: 20, slaves: 10 }));
      loads.push(new AppenderLoad(storagePort, random, 1));
    }
    await startAll(nodes);
    for (const load of loads) load.start();
    for (let round = 0; round < ROUNDS; round++) {
      // Kills at a random time.
      await sleep(300 + random.below(700));
      const victim = nodes[random.below(3)] as TestNode;
      if (random.below(2) === 0) await killNode(victim);
      else await victim.killDaemon();
    }
    await sleep(300);
    const lost = nodes[random.below(3)] as TestNode;
    for (const pid of lost.pids()) process.kill(pid, 'SIGKILL');
    await lost.ended();
    for (const load of loads) await load.stop();
    rmSync(lost.data, { recursive: true });
    const promised = promisedBy(loads);
    const { stored, deleted, metadata, appenders } = promised as Required<Promised>;
    t.comment(
      `${stored.size} stored, ${deleted.size} deleted, ${metadata.size} with metadata, ${appenders.size} appenders`,
    );
    t.ok(promised.stored.size > 100);
    for (const node of nodes) {
      if (node === lost) continue;
      t.strictSame(await broken(node, { stored, deleted: new Set() }), [], 'everything that was stored is there');
      // Deletions that only one of the two had recorded are replicated now.
      const gone = { stored: new Map(), deleted };
      const isGone = async () => (await broken(node, gone, [404, 503])).length === 0;
      await node.until(isGone, 'rid of what was deleted', 60).catch(() => undefined);
      t.strictSame(await broken(node, gone, [404, 503]), [], 'what was deleted is gone');
      // One of the two may have an earlier version, until it has compared what both have.
      const changing = { stored: new Map(), deleted: new Set<string>(), metadata, appenders };
      const isThere = async () => (await broken(node, changing)).length === 0;
      await node.until(isThere, 'up to date', 60).catch(() => undefined);
      t.strictSame(await broken(node, changing), [], 'the last metadata and contents of appenders are there');
      await node.assertClean(t, { isKilled: true });
    }
    await lost.start();
    await ready(lost);
    t.strictSame(await broken(lost, promised), [], 'also on the node that comes back empty');
    await lost.assertClean(t);
  },
);

t.test(
  'a rolling restart under load: a client that tries the next node reads on, and nothing acknowledged is lost',
  async (t) => {
    const random = seeded(t);
    const nodes = (await startCluster(t, { groups: GROUP })) as Three;
    const loads = nodes.map((node) => new Load(node, random, { clients: 3, deletions: 0, largest: 200_000 }));
    for (const load of loads) load.start();
    await (nodes[0] as TestNode).until(() => promisedBy(loads).stored.size > 20, 'full of files to read');
    const readers = new ReadLoad(nodes, loads, random);
    readers.start();
    for (const node of nodes) {
      await node.stop();
      await node.start();
      await ready(node);
    }
    await readers.stop();
    for (const load of loads) await load.stop();
    t.strictSame(readers.failed, [], 'no read failed on all nodes');
    t.ok(readers.count > 100, `${readers.count} reads`);
    for (const node of nodes) {
      t.strictSame(await broken(node, promisedBy(loads)), []);
      await node.assertClean(t, { isKilled: true });
    }
  },
);
