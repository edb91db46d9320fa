import { readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { assertProblem } from '../helpers/assert-problem.js';
import { type Answer, TestNode, uploadedOf } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';

const PICTURE = Buffer.from('a picture');
const THUMBNAIL: Buffer = Buffer.from('a thumbnail');

function postSlave(
  node: TestNode,
  master: string,
  prefix: string,
  body: Buffer = THUMBNAIL,
  rest = '',
): Promise<Answer> {
  return node.post(body, `?master=${encodeURIComponent(master)}&prefix=${encodeURIComponent(prefix)}${rest}`);
}

function putMetadata(node: TestNode, id: string, body: unknown): Promise<Answer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return node.request(`/metadata/${id}`, { method: 'PUT', body: text, headers: node.authorized() });
}

async function metadataOf(node: TestNode, id: string): Promise<unknown> {
  const { status, body } = await node.get(`/metadata/${id}`, node.authorized());
  return status === 200 ? JSON.parse(body.toString()) : status;
}

t.test('slaves', async (t) => {
  const node = await TestNode.start(t);
  const master = await node.upload(PICTURE, '?ext=jpg');
  const stem = master.id.replace('.jpg', '');

  await t.test('are stored under the name of their master and a prefix', async (t) => {
    const [slave] = uploadedOf(await postSlave(node, master.id, '_150x150', THUMBNAIL, '&ext=webp'));
    t.match(slave, { id: `${stem}_150x150.webp`, size: THUMBNAIL.length, created: master.created, copies: 1 });
    const { status, body, headers } = await node.get(slave?.id ?? '');
    t.equal(status, 200);
    t.ok(body.equals(THUMBNAIL));
    t.equal(headers['content-type'], 'image/webp');
    assertProblem(
      t,
      await postSlave(node, master.id, '_150x150', PICTURE, '&ext=webp'),
      409,
      'exists',
      'a name that is taken',
    );
    t.ok((await node.get(slave?.id ?? '')).body.equals(THUMBNAIL), 'and never change');
    const large = seeded(t).bytes(3 * 2 ** 20);
    const [other] = uploadedOf(await postSlave(node, master.id, '_large', large, '&ext='));
    t.equal(other?.id, `${stem}_large`);
    t.ok((await node.get(other?.id ?? '')).body.equals(large));
  });

  await t.test('need a master that is here, and a prefix that makes a name', async (t) => {
    assertProblem(t, await postSlave(node, `${stem}_none.jpg`, '_150x150'), 404, 'not-found', 'no such file');
    assertProblem(t, await postSlave(node, 'group9/M00/00/00/x', '_150x150'), 400, 'bad-id', 'a bad request');
    assertProblem(
      t,
      await postSlave(node, master.id.replace('group1', 'group9'), '_150x150'),
      404,
      'not-found',
      'no such file',
    );
    for (const prefix of ['', '../x', '_'.repeat(17)])
      assertProblem(t, await postSlave(node, master.id, prefix), 400, 'bad-request', 'a bad request');
    assertProblem(t, await node.post(THUMBNAIL, '?prefix=_150x150'), 400, 'bad-request', 'a bad request');
  });

  await t.test('are checked by verify and found again by rebuild, and metadata with them', async (t) => {
    t.equal((await putMetadata(node, master.id, { width: '200' })).status, 204);
    await node.stop();
    for (const suffix of ['', '-wal', '-shm']) rmSync(join(node.data, `index.db${suffix}`), { force: true });
    const rebuilt = await node.command('rebuild');
    t.equal(rebuilt.status, 0, rebuilt.stderr);
    await node.start();
    await node.assertClean(t);
    assertProblem(
      t,
      await postSlave(node, master.id, '_150x150', PICTURE, '&ext=webp'),
      409,
      'exists',
      'a name that is taken',
    );
    t.strictSame(await metadataOf(node, master.id), { width: '200' });
    const before = await node.command('status', '--json');
    t.match(JSON.parse(before.stdout), { files: 4 });
  });

  // Seen to fail without slavesOf() in deletion.ts, and with keepsSlaves ignored.
  await t.test('are deleted with their master, unless they are to be kept', async (t) => {
    const kept = await node.upload(PICTURE, '?ext=jpg');
    const [left] = uploadedOf(await postSlave(node, kept.id, '_s', THUMBNAIL, '&ext=jpg'));
    t.equal((await node.delete(`${kept.id}?slaves=keep`)).status, 204);
    t.equal((await node.get(left?.id ?? '')).status, 200);
    t.equal((await node.delete(`${master.id}?slaves=some`)).status, 400);
    t.equal((await node.delete(master.id)).status, 204);
    t.equal((await node.get(`${stem}_150x150.webp`)).status, 404);
    t.equal((await node.get(`${stem}_large`)).status, 404);
    const names = readdirSync(dirname(node.pathOf(master.id)));
    t.strictSame(names, [left?.id.split('/').pop()], 'metadata is gone, too');
    await node.assertClean(t);
  });
});

t.test('metadata', async (t) => {
  const node = await TestNode.start(t);
  const { id } = await node.upload(PICTURE, '?ext=jpg');

  await t.test('is replaced as a whole, and removed by none', async (t) => {
    t.strictSame(await metadataOf(node, id), {});
    t.equal((await putMetadata(node, id, { title: 'Über', width: '200' })).status, 204);
    t.strictSame(await metadataOf(node, id), { title: 'Über', width: '200' });
    t.equal((await putMetadata(node, id, { width: '300' })).status, 204);
    t.strictSame(await metadataOf(node, id), { width: '300' });
    t.equal((await putMetadata(node, id, {})).status, 204);
    t.strictSame(await metadataOf(node, id), {});
  });

  await t.test('needs the key, and is never sent to the public', async (t) => {
    await putMetadata(node, id, { secret: 'x' });
    assertProblem(t, await node.get(`/metadata/${id}`), 401, 'no-key', 'no key');
    t.equal((await node.request(`/metadata/${id}`, { method: 'PUT', body: '{}' })).status, 401);
    t.equal((await node.get(`/${id}-m`)).status, 404);
    t.strictSame(await metadataOf(node, id), { secret: 'x' });
  });

  await t.test('is refused if it is not an object of strings, or belongs to no file', async (t) => {
    for (const body of ['', '[]', '{"a":1}', '{"":"x"}', { a: '\u0001' }, { ['n'.repeat(65)]: 'x' }])
      assertProblem(t, await putMetadata(node, id, body), 400, 'bad-request', 'a bad request');
    assertProblem(t, await putMetadata(node, id, { a: 'x'.repeat(70_000) }), 400, 'bad-request', 'a bad request');
    assertProblem(t, await putMetadata(node, 'x', {}), 400, 'bad-id', 'a bad request');
    assertProblem(t, await putMetadata(node, id.replace('.jpg', '.png'), {}), 404, 'not-found', 'no such file');
    t.equal((await node.request(`/metadata/${id}`, { method: 'POST', headers: node.authorized() })).status, 405);
  });

  await t.test('survives a kill', async (t) => {
    await putMetadata(node, id, { a: '1' });
    await node.killDaemon();
    t.strictSame(await metadataOf(node, id), { a: '1' });
    await node.assertClean(t);
  });
});
