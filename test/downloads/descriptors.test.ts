import t from 'tap';
import { TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';

const DESCRIPTORS = 1024;

// Seen to fail (500, too many open files) with an open_file_cache of 10,000 whatever the limit.
t.test('with few descriptors more files than those are served, one after the other', async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t, { descriptors: DESCRIPTORS });
  const ids: string[] = [];
  const upload = async () => {
    while (ids.length < DESCRIPTORS * 1.2) ids.push((await node.upload(random.bytes(100))).id);
  };
  await Promise.all(Array.from({ length: 16 }, upload));
  const statuses = new Map<number, number>();
  for (const id of ids) {
    const { status } = await node.get(id);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
  t.strictSame([...statuses.keys()], [200]);
});
