import t from 'tap';
import { startCluster } from '../helpers/cluster.js';
import type { TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';

/** Tries of an upload; on a busy machine some take longer than copyTimeout. */
const TRIES = 20;

// Seen to fail without Follower.tell: a fetched file is acknowledged only with the next request, up to a second later.
t.test('the copy of a large file counts as soon as it is there', async (t) => {
  const random = seeded(t);
  const env = { FIDFS_COPY_TIMEOUT: '500ms' };
  const [a] = (await startCluster(t, { groups: ['group1', 'group1'], env })) as [TestNode, TestNode];
  const statuses: number[] = [];
  while (!statuses.includes(201) && statuses.length < TRIES) {
    statuses.push((await a.post(random.bytes(1_000_000))).status);
  }
  t.equal(statuses.at(-1), 201, `${statuses}`);
});
