import { join } from 'node:path';
import t from 'tap';
import { createCluster, holds, startAll } from '../helpers/cluster.js';
import { cannotMount, scratch } from '../helpers/mounts.js';
import type { TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';
import { ThinDisk } from '../helpers/thin-disk.js';

t.test('a node whose index is on a full disk', { skip: cannotMount() }, async (t) => {
  const random = seeded(t);
  const disk = new ThinDisk(t, scratch(t), 64);
  const nodes = await createCluster(t, { groups: ['group1', 'group1'], env: { FIDFS_COPIES: '1' } });
  const [a, b] = nodes as [TestNode, TestNode];
  b.configure({ FIDFS_DATA: join(disk.point, 'data'), FIDFS_STORE_PATHS: join(b.directory, 'store') });
  await startAll(nodes);
  const upload = (count: number) =>
    Promise.all(Array.from({ length: count }, async () => (await a.upload(random.bytes(100))).id));
  const deleted = (await upload(1))[0] as string;
  await holds(b, [deleted]);
  const ids: string[] = [];
  const isStuck = () => /"level":50.*node 1 is up and cannot be followed/.test(b.log);
  const lacking = () => ids.filter((id) => !b.hasFile(id)).length;
  const isRefused = () => b.log.includes('a peer cannot be followed now');
  // Fills the disk repeatedly, because a checkpoint frees space, until the index cannot grow.
  while (!isRefused() && ids.length < 5000) {
    disk.fill();
    ids.push(...(await upload(100)));
  }
  t.ok(isRefused(), `${ids.length} uploads`);

  // Seen to fail when `behind` is set after `take`, and without the warning.
  await t.test('says how far it is behind, and why, as do the others', async (t) => {
    const told = async () => {
      const { peers } = await a.status();
      return peers[0]?.hello?.backlog[0]?.entries ?? 0;
    };
    await b.until(isStuck, 'heard', 60);
    await a.until(async () => lacking() > 0 && (await told()) >= lacking(), 'aware of it');
    t.match(b.log, /node 1 is up and cannot be followed.*database or disk is full/);
  });

  // Seen to fail without takeDeletions in Follower.takeOrDelete.
  await t.test('deletes what is deleted, wherever in the log that is', async () => {
    disk.fill();
    // Several pages of the log before the deletion.
    for (let round = 0; round < 15; round++) ids.push(...(await upload(100)));
    await a.delete(deleted);
    await b.until(() => !b.hasFile(deleted), 'rid of it');
  });

  await t.test('goes on when there is room again, and says so', async () => {
    disk.empty();
    await holds(b, ids);
    await b.until(() => b.log.includes('an alarm is over'), 'heard');
  });
  for (const node of nodes) await node.assertClean(t);
});
