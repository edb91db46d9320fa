import t from 'tap';
import { createCluster, startAll } from '../helpers/cluster.js';
import { bearer, makeKey, usable } from '../helpers/keys.js';
import { TestNode } from '../helpers/node.js';
import { outcome } from '../helpers/raw.js';

/** Asks a node for links, as the page does. */
function sign(node: TestNode, body: object | string, key = node.key) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return node.request('/console/api/sign', { method: 'POST', body: text, headers: bearer(key) });
}

async function queriesOf(node: TestNode, body: object): Promise<string[]> {
  return JSON.parse(String((await sign(node, body)).body)).queries;
}

const json = (answer: { body: Buffer }) => JSON.parse(String(answer.body));

// Seen to fail without the request to the nodes of the other group, without `signed` in the hello, and without `assertGroup`.
t.test('each node gives the page links to the files of all groups', async (t) => {
  const nodes = (await createCluster(t, { groups: ['group1', 'group2'] })) as [TestNode, TestNode];
  const [open, closed] = nodes;
  closed.configure({ FIDFS_DOWNLOADS: 'signed', FIDFS_DOWNLOAD_KEY: 'download-key-0123456789' });
  await startAll(nodes);
  const { id: freely } = await open.upload(Buffer.from('open'), '?group=group1');
  const { id } = await closed.upload(Buffer.from('private'), '?group=group2');
  const groups = [
    { name: 'group1', needsLinks: false },
    { name: 'group2', needsLinks: true },
  ];
  for (const node of nodes) {
    const told = json(await node.get('/console/api/groups', node.authorized()));
    told.groups.sort((one: { name: string }, other: { name: string }) => (one.name < other.name ? -1 : 1));
    t.strictSame(told, { pictures: true, groups });
    t.strictSame(await queriesOf(node, { ids: [freely], seconds: 60 }), [''], 'none is needed');
    t.strictSame(await queriesOf(node, { ids: [freely], seconds: 60, download: 'a b' }), ['?download=a%20b']);
    const [query = '', again] = await queriesOf(node, { ids: [id, id], seconds: 60 });
    t.equal(query, again);
    t.equal((await node.get(`${id}${query}`)).status, 200);
    t.equal((await node.get(id)).status, 403);
    t.equal((await node.get(`/picture/console/${id}${query}`)).status, 403, 'a link gives one thing');
    const [picture] = await queriesOf(node, { ids: [id], seconds: 60, preset: 'console' });
    t.equal((await node.get(`/picture/console/${id}${picture}`)).status, 415, 'it is signed, and no picture');
    const [named] = await queriesOf(node, { ids: [id], seconds: 60, download: 'ä.txt' });
    t.match((await node.get(`${id}${named}`)).headers['content-disposition'], /%C3%A4\.txt/);
    const [short = ''] = await queriesOf(node, { ids: [id], seconds: 1 });
    await node.until(async () => outcome(await node.get(`${id}${short}`)) === '403 link-expired', 'over');
  }

  const key = makeKey(nodes, 'one', ['sign', 'list'], { groups: ['group1'] });
  await usable(open, key);
  t.equal((await sign(open, { ids: [freely], seconds: 60 }, key)).status, 200);
  t.equal(outcome(await sign(open, { ids: [id], seconds: 60 }, key)), '403 no-right', 'a key of another group');
  t.strictSame(json(await open.get('/console/api/groups', bearer(key))).groups, groups.slice(0, 1));

  const wrong: [body: object | string, outcome: string][] = [
    ['x', '400 bad-request'],
    [{ ids: [], seconds: 60 }, '400 bad-request'],
    [{ ids: [id], seconds: 0 }, '400 bad-request'],
    [{ ids: [id], seconds: 4e8 }, '400 bad-request'],
    [{ ids: [id], seconds: 60, preset: 'A\n' }, '400 bad-request'],
    [{ ids: [id], seconds: 60, download: 'a\nb' }, '400 bad-request'],
    [{ ids: [id], seconds: 60, expires: 9e9 }, '400 bad-request'],
    [{ ids: [id, freely], seconds: 60 }, '400 bad-request'],
    [{ ids: ['group1/M00/00/00/x'], seconds: 60 }, '400 bad-id'],
    [{ ids: [id.replace('group2', 'group3')], seconds: 60 }, '404 not-found'],
  ];
  for (const [body, expected] of wrong) t.equal(outcome(await sign(open, body)), expected, JSON.stringify(body));

  await closed.stop();
  t.equal(outcome(await sign(open, { ids: [id], seconds: 60 })), '503 unavailable', 'the key is known there only');
});

t.test('where FastDFS’s tokens are needed, the links have them', async (t) => {
  const node = await TestNode.start(t, { env: { FIDFS_FASTDFS_TOKEN_KEY: 'token-key-0123456789' } });
  const { id } = await node.upload(Buffer.from('a file'), '?ext=txt');
  t.match(json(await node.get('/console/api/groups', node.authorized())).groups, [{ needsLinks: true }]);
  const [query = ''] = await queriesOf(node, { ids: [id], seconds: 60, download: 'b.txt' });
  t.equal((await node.get(id)).status, 400);
  const answer = await node.get(`${id}${query}`);
  t.match(answer, { status: 200, headers: { 'content-disposition': /b\.txt/ } });
});
