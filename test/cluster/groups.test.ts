import t from 'tap';
import { problemOf } from '../helpers/assert-problem.js';
import { createCluster, holds, ready, startAll } from '../helpers/cluster.js';
import { filesOn } from '../helpers/disk.js';
import { type TestNode, type Uploaded, uploadedOf } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';

type Four = [TestNode, TestNode, TestNode, TestNode];

t.test('two groups of two nodes', async (t) => {
  const random = seeded(t);
  const nodes = await createCluster(t, { groups: ['group1', 'group1', 'group2', 'group2'] });
  const [a, b, c, d] = nodes as Four;
  await startAll(nodes);
  // Each node needs the available space of the other group.
  for (const node of nodes) await node.until(() => node.isWell(), 'aware of all');
  const contents = new Map<string, Buffer>();
  const upload = async (node: TestNode, size: number, query = ''): Promise<Uploaded> => {
    const content = random.bytes(size);
    const file = await node.upload(content, query);
    contents.set(file.id, content);
    return file;
  };

  await t.test('uploads to any node spread over both groups, and stay whole', async (t) => {
    for (let number = 0; number < 40; number++) {
      const node = nodes[number % 4] as TestNode;
      const { url, id, copies } = await upload(node, number % 8 === 0 ? 700_000 : 2000, '?ext=bin');
      t.equal(copies, 2);
      t.equal(url, `${node.origin}/${id}`, 'and the client knows one address only');
    }
    const groups = [...contents.keys()].map((id) => id.split('/')[0]);
    // Both groups have the same space: all forty uploads go to one of them once in 500 billion runs.
    t.ok(groups.includes('group1') && groups.includes('group2'), String(groups));
  });

  await t.test('?group= says where to, multipart and chunked bodies included', async (t) => {
    for (const node of nodes) {
      for (const group of ['group1', 'group2']) {
        t.match((await upload(node, 3000, `?group=${group}&ext=jpg`)).id, new RegExp(`^${group}/.*\\.jpg$`));
      }
    }
    const parts = ['one', 'two'].map(
      (text) => `--b\r\nContent-Disposition: form-data; name="f"; filename="${text}.txt"\r\n\r\n${text}\r\n`,
    );
    const body = Buffer.from(`${parts.join('')}--b--\r\n`);
    const answer = await a.post(body, '?group=group2', { 'content-type': 'multipart/form-data; boundary=b' });
    const files = uploadedOf(answer);
    t.match(
      files.map(({ id }) => id),
      [/^group2\/.*txt$/, /^group2\/.*txt$/],
    );
    for (const [index, { id }] of files.entries()) contents.set(id, Buffer.from(['one', 'two'][index] as string));
    async function* chunks() {
      for (let piece = 0; piece < 20; piece++) yield random.bytes(100_000);
    }
    const chunked = await a.post(chunks() as never, '?group=group2');
    t.match(uploadedOf(chunked), [{ size: 2_000_000 }]);
    const text = await a.post('x', '?group=group2', { accept: 'text/plain' });
    t.match(String(text.body), /^group2\/\S+\n$/);
  });

  await t.test('errors of the other group are told as they are, and leave nothing', async (t) => {
    const before = filesOn(c.storePath).length;
    t.match(problemOf(await a.post('x', '?group=nowhere')), { status: 400, title: 'No such group' });
    t.equal((await a.post('x', '?group=group2&crc32=00000000')).status, 400);
    t.equal((await a.post('x', '?group=group2&ext=way-too-long')).status, 400);
    t.equal((await a.request('/upload?group=group2', { method: 'POST', body: 'x' })).status, 401);
    t.equal(filesOn(c.storePath).length, before);
  });

  await t.test('every node serves the files of both', async (t) => {
    const wrong: string[] = [];
    for (const [id, content] of contents) {
      for (const node of nodes) {
        const { status, body } = await node.get(id);
        if (status !== 200 || !body.equals(content)) wrong.push(`${id} by ${node.origin}: ${status}`);
      }
    }
    t.strictSame(wrong, []);
    t.notOk(
      [...contents.keys()].some((id) => id.startsWith('group2') && a.hasFile(id)),
      'stored where they belong only',
    );
  });

  await t.test('and deletes them', async (t) => {
    const id = [...contents.keys()].find((one) => one.startsWith('group2')) as string;
    contents.delete(id);
    t.equal((await b.delete(id)).status, 204);
    t.notOk(c.hasFile(id) || d.hasFile(id));
    t.equal((await a.delete(id)).status, 404);
    for (const node of nodes) await node.until(async () => (await node.get(id)).status === 404, 'rid of it', 10);
    t.equal((await a.delete(id.replace('group2', 'group3'))).status, 404);
  });

  await t.test('when a whole group is down the other goes on, uploads included', async (t) => {
    await c.stop();
    const gone = [...contents.keys()].find((id) => id.startsWith('group2')) as string;
    contents.delete(gone);
    // Seen to fail when forwardDeletion() does not pass on the response.
    const accepted = await a.delete(gone);
    t.strictSame(
      [accepted.status, JSON.parse(String(accepted.body))],
      [202, { id: gone, copies: 1, wanted: 2 }],
      'a deletion that its group could not confirm is passed on as it is',
    );
    await d.stop();
    await a.until(
      async () => (await a.get([...contents.keys()].find((id) => id.startsWith('group2')) as string)).status === 503,
      'aware of it',
    );
    for (let number = 0; number < 10; number++) t.match((await upload(b, 1000)).id, /^group1/);
    t.equal((await a.post('x', '?group=group2')).status, 503);
    const theirs = [...contents.keys()].find((id) => id.startsWith('group2')) as string;
    const answer = await a.get(theirs);
    t.equal(answer.status, 503);
    t.ok(Number(answer.headers['retry-after']) > 0);
    t.equal((await a.delete(theirs)).status, 503);
    t.equal((await a.get('/readyz')).status, 200);
    await startAll([c, d]);
    await a.until(async () => (await a.get(theirs)).status === 200, 'reading theirs again');
    for (const node of nodes) {
      await ready(node);
      await node.assertClean(t);
    }
    await holds(c, [theirs]);
  });
});
