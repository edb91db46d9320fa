import { join } from 'node:path';
import t from 'tap';
import { assertProblem } from '../helpers/assert-problem.js';
import { holds, ready, startCluster } from '../helpers/cluster.js';
import { filesOn, flipByte } from '../helpers/disk.js';
import type { TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';
import { begin, named, send, stateOf, tus } from '../helpers/tus.js';

t.test('any node takes the pieces of an upload that another one began', async (t) => {
  const random = seeded(t);
  const [first, second] = (await startCluster(t, { groups: ['group1', 'group1'] })) as [TestNode, TestNode];
  const content = random.bytes(3_000_000);
  const upload = await begin(first, content.length, named('a.png'));
  t.match(upload, /^\/tus\/1-/);
  t.equal((await send(second, upload, 0, content.subarray(0, 1_000_000))).status, 204);
  t.strictSame(await stateOf(first, upload), { offset: 1_000_000, id: undefined });
  await send(first, upload, 1_000_000, content.subarray(1_000_000, 2_000_000));
  assertProblem(t, await send(second, upload, 0, content), 409, 'offset-conflict', 'errors come through');
  const last = await send(second, upload, 2_000_000, content.subarray(2_000_000));
  const id = String(last.headers['fidfs-id']);
  t.equal(last.headers['fidfs-url'], `${second.origin}/${id}`, 'the URL is that of the node that was asked');
  await holds(second, [id], 1);
  t.ok((await second.get(id)).body.equals(content));
  t.strictSame(await stateOf(second, upload), { offset: 3_000_000, id });
  await first.assertClean(t);
  await second.assertClean(t);
});

// Seen to fail (503 about copies at every attempt) without the second read in ResumableUploads.keepSound.
t.test('what rots under the running node is refused by the others, and the client is told to begin anew', async (t) => {
  const random = seeded(t);
  const env = { FIDFS_COPY_TIMEOUT: '2s' };
  const [first, second] = (await startCluster(t, { groups: ['group1', 'group1'], env })) as [TestNode, TestNode];
  const content = random.bytes(2_000_000);
  const upload = await begin(first, content.length);
  await send(first, upload, 0, content.subarray(0, 1_000_000));
  flipByte(join(first.storePath, 'tmp', `upload-${upload.slice('/tus/'.length)}`), 500_000);
  const last = await send(second, upload, 1_000_000, content.subarray(1_000_000));
  assertProblem(t, last, 410, 'upload-damaged', 'the last piece');
  t.equal((await tus(first, 'HEAD', upload)).status, 410);
  await first.until(() => first.log.includes('its received bytes are corrupt'), 'logged');
  for (const node of [first, second]) {
    await node.until(() => filesOn(node.storePath).length === 0, 'without anything of it');
    await node.assertClean(t);
  }
});

t.test('while the node that began an upload is away, the upload waits', async (t) => {
  const [first, second] = (await startCluster(t, { groups: ['group1', 'group1'], env: { FIDFS_COPIES: '1' } })) as [
    TestNode,
    TestNode,
  ];
  const upload = await begin(first, 2000);
  await send(first, upload, 0, Buffer.alloc(1000));
  await first.stop();
  const head = await tus(second, 'HEAD', upload);
  // On 503 tus-js-client discards the upload.
  t.match(head, { status: 423, headers: { 'retry-after': /\d/ } });
  const piece = await send(second, upload, 1000, Buffer.alloc(1000));
  assertProblem(t, piece, 503, 'unavailable', 'a piece');
  await first.start();
  await ready(first);
  await second.until(async () => (await tus(second, 'HEAD', upload)).status === 200, 'aware that it is back');
  t.equal((await stateOf(second, upload)).offset, 1000);
  t.match(await send(second, upload, 1000, Buffer.alloc(1000)), { status: 204, headers: { 'fidfs-id': /^group1/ } });
});

// Seen to fail (204 with one copy) without waitForCopies in daemon/http/tus.ts.
t.test('the last piece is answered when the copies are made, and not before', async (t) => {
  const random = seeded(t);
  const env = { FIDFS_COPY_TIMEOUT: '2s' };
  const [first, second] = (await startCluster(t, { groups: ['group1', 'group1'], env })) as [TestNode, TestNode];
  const content = random.bytes(2_000_000);
  const upload = await begin(first, content.length);
  await send(first, upload, 0, content.subarray(0, 1_000_000));
  await second.stop();
  const last = await send(first, upload, 1_000_000, content.subarray(1_000_000));
  assertProblem(t, last, 503, 'unavailable', 'no copy');
  t.equal((await tus(first, 'HEAD', upload)).status, 423, 'nor later');
  assertProblem(
    t,
    await tus(first, 'POST', '/tus/', { 'upload-length': '10' }),
    503,
    'unavailable',
    'nor does one begin',
  );
  await second.start();
  await ready(first);
  const { id, offset } = await stateOf(first, upload);
  t.equal(offset, content.length, 'nothing is sent again');
  t.match(id, /^group1/, 'a look is enough, when they can be made');
  await holds(second, [id as string], 1);
  t.ok((await second.get(id as string)).body.equals(content));
  await first.assertClean(t);
});

t.test('an upload for another group begins there, and goes on through any node', async (t) => {
  const random = seeded(t);
  const [first, second] = (await startCluster(t, { groups: ['group1', 'group2'] })) as [TestNode, TestNode];
  const content = random.bytes(1_000_000);
  const created = await tus(first, 'POST', '/tus/?group=group2', {
    'upload-length': String(content.length),
    ...named('x.webp'),
  });
  t.match(created, {
    status: 201,
    headers: { location: /^\/tus\/2-/, 'upload-expires': /GMT/, 'tus-resumable': '1.0.0' },
  });
  const upload = String(created.headers.location);
  const last = await send(first, upload, 0, content);
  const id = String(last.headers['fidfs-id']);
  t.match(id, /^group2\/.*\.webp$/);
  t.ok(second.hasFile(id));
  t.ok((await first.get(id)).body.equals(content));
  const whole = await tus(
    first,
    'POST',
    '/tus/?group=group2',
    { 'upload-length': '5', 'content-type': 'application/offset+octet-stream' },
    Buffer.from('whole'),
  );
  t.match(whole.headers, { 'upload-offset': '5', 'fidfs-url': new RegExp(`^${first.origin}/group2/`) });
  assertProblem(
    t,
    await tus(first, 'POST', '/tus/?group=group9', { 'upload-length': '5' }),
    400,
    'no-such-group',
    'no such group',
  );
});
