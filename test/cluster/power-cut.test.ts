import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { createCluster, ready, startAll } from '../helpers/cluster.js';
import { broken, Load } from '../helpers/load.js';
import { cannotMount, makeImage, mountImage, scratch, unmount } from '../helpers/mounts.js';
import { TestNode } from '../helpers/node.js';
import { cutPower } from '../helpers/power-cut.js';
import { seeded } from '../helpers/random.js';

/** Set by `npm run storm -- --rounds N`. */
const ROUNDS = Number(process.env.STORM_ROUNDS ?? 4);

/*
 * The node that makes the copies loses power, and the node that accepted the uploads is destroyed. The copies must contain
 * every acknowledged upload.
 */

// Seen to fail without waitForAcknowledgements() in waitForCopies().
t.test(
  'a copy that an upload was answered for survives a power cut of its node',
  { skip: cannotMount() },
  async (t) => {
    const random = seeded(t);
    const directory = scratch(t);
    const image = join(directory, 'image');
    makeImage(image, 512);
    const point = mountImage(t, image, join(directory, 'node'), 'loop,commit=300');
    const [a] = (await createCluster(t, { groups: ['group1', 'group1'] })) as [TestNode, TestNode];
    const b = await TestNode.create(t, { directory: point, env: a.env });
    b.configure({ FIDFS_DATA: join(point, 'data'), FIDFS_LISTEN: `127.0.0.1:${b.port}`, FIDFS_SERVER_ID: '2' });
    b.configure({ FIDFS_DAEMON_LISTEN: `127.0.0.1:${b.daemonPort}`, FIDFS_PEERS: `1@group1=${a.origin}` });
    a.configure({ FIDFS_PEERS: `2@group1=${b.origin}` });
    await startAll([a, b]);
    const load = new Load(a, random, { deletions: 30, largest: 2 ** 20, slaves: 15 });
    for (let round = 1; round <= ROUNDS; round++) {
      load.start();
      // A power cut at a random time.
      await sleep(200 + random.below(400));
      const copy = join(directory, 'copy');
      const promised = await cutPower(b, [load], image, copy);
      await load.stop();
      const after = join(directory, 'after');
      mountImage(t, copy, after);
      const left = await TestNode.create(t, { directory: after, env: b.env });
      // Without peers, so that it cannot fetch missing files.
      left.configure({ FIDFS_DATA: join(after, 'data'), FIDFS_PEERS: '', FIDFS_LISTEN: `127.0.0.1:${left.port}` });
      left.configure({ FIDFS_DAEMON_LISTEN: `127.0.0.1:${left.daemonPort}` });
      await left.start();
      t.comment(`${promised.stored.size} stored, ${promised.deleted.size} deleted`);
      t.strictSame(
        (await broken(left, promised)).slice(0, 20),
        [],
        `round ${round}: nothing that was answered is lost`,
      );
      await left.assertClean(t, { isKilled: true });
      await left.stop();
      unmount(after);
      rmSync(copy);
      await ready(a);
    }
  },
);
