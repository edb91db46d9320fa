import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { broken, Load } from '../helpers/load.js';
import { TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';

/** Set by `npm run storm -- --rounds N`. */
const ROUNDS = Number(process.env.STORM_ROUNDS ?? 10);

// Seen to fail without `recoverStore` in daemon/main.ts: files without rows.
t.test('what was answered survives kill -9 of the daemon at any moment, and nothing half done stays', async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t);
  const load = new Load(node, random, { slaves: 15 });
  let asked = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    load.start();
    // The kill must come at a random moment; this waits for nothing.
    await sleep(50 + random.below(400));
    await node.killDaemon();
    await load.stop();
    const promised = load.promised();
    asked += promised.stored.size + promised.deleted.size;
    t.strictSame(await broken(node, promised), [], `every answer of ${round} rounds holds`);
    const { status, stdout, stderr } = await node.command('verify');
    t.equal(status, 0, 'every file has its row and every row its file', { found: stdout + stderr });
    t.strictSame(readdirSync(join(node.storePath, 'tmp')), [], 'no temporary is left');
  }
  t.ok(load.count(0) + load.count(503) > 0, 'the load felt it');
  t.comment(`${asked} questions; answers by status: ${JSON.stringify([...load.statuses])}`);
});
