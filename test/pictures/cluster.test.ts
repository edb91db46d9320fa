import t from 'tap';
import { assertProblem } from '../helpers/assert-problem.js';
import { createCluster, startAll } from '../helpers/cluster.js';
import type { TestNode } from '../helpers/node.js';
import { BROWSER, counted, picture, plainJpeg } from '../helpers/pictures.js';

const env = { FIDFS_PICTURES: JSON.stringify({ thumb: { width: 60 } }) };

t.test('pictures of all files are to be had from all nodes', async (t) => {
  const nodes = await createCluster(t, { groups: ['group1', 'group2', 'group2'], env });
  await startAll(nodes);
  const [entrance, one, two] = nodes as [TestNode, TestNode, TestNode];
  const takes = async () => (await entrance.post('a', '?group=group2')).status === 201;
  await entrance.until(takes, 'taking uploads for the other group');
  const upload = (size: number) =>
    entrance.post(plain(size), '?group=group2&ext=jpg').then(({ body }) => JSON.parse(body.toString()).files[0].id);
  const jpegs = new Map<number, Buffer>();
  for (const size of [90, 91, 92, 93]) jpegs.set(size, await plainJpeg(size, size));
  const plain = (size: number) => jpegs.get(size) ?? Buffer.alloc(0);
  const made = async () => Promise.all(nodes.map((node) => counted(node, 'made')));

  // Seen to fail without Accept.
  t.test('they are made where the file is, and pass with their headers', async (t) => {
    const id = await upload(90);
    for (const [accept, type] of [
      [BROWSER, 'image/avif'],
      ['*/*', 'image/jpeg'],
    ] as const) {
      const answer = await picture(entrance, 'thumb', id, accept);
      t.match(answer, { status: 200, headers: { 'content-type': type, vary: 'Accept', 'cache-control': /immutable/ } });
      const { etag } = answer.headers;
      const again = await entrance.get(`/picture/thumb/${id}`, { accept, 'if-none-match': String(etag) });
      t.match(again, { status: 304, headers: { etag } });
    }
    const counts = await made();
    t.equal(counts[0], 0, 'none at the entrance');
    t.equal((counts[1] ?? 0) + (counts[2] ?? 0), 2);
  });

  t.test('with the file they are gone, everywhere', async (t) => {
    const id = await upload(91);
    for (const node of nodes) t.equal((await picture(node, 'thumb', id)).status, 200);
    t.match((await entrance.delete(id)).status, 204);
    for (const node of nodes) {
      await node.until(async () => (await picture(node, 'thumb', id)).status === 404, 'without the picture', 1);
      assertProblem(t, await picture(node, 'thumb', id), 404, 'not-found', 'a deleted file');
    }
  });

  // Seen to fail without 415 among the statuses that are passed on.
  t.test('errors pass, too', async (t) => {
    const { body } = await entrance.post('no picture', '?group=group2&ext=jpg');
    const { id } = JSON.parse(body.toString()).files[0];
    assertProblem(t, await picture(entrance, 'thumb', id), 415, 'not-a-picture', 'a text');
    assertProblem(t, await picture(entrance, 'none', id), 404, 'no-such-preset', 'an unknown preset');
    const absent = id.replace(/^(.*\/)A/, '$1B');
    assertProblem(t, await picture(entrance, 'thumb', absent), 404, 'not-found', 'a file that nobody has');
    assertProblem(t, await picture(one, 'thumb', 'group3/M00/00/00/x'), 404, 'not-found', 'an unknown group');
  });

  t.test('the other node of the group makes it if the first is away', async (t) => {
    const id = await upload(92);
    for (const node of [one, two]) await node.until(() => node.hasFile(id), 'holding the file');
    await one.stop();
    t.equal((await picture(entrance, 'thumb', id)).status, 200);
    await two.stop();
    const absent = await picture(entrance, 'thumb', id);
    assertProblem(t, absent, 503, 'unavailable', 'no node that may have it is up');
  });
});
