import { hash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { assertProblem } from '../helpers/assert-problem.js';
import { TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';
import { begin, named, send, stateOf, tus } from '../helpers/tus.js';

const OCTETS = { 'content-type': 'application/offset+octet-stream' };

function checksum(bytes: Buffer, algorithm = 'sha256'): Record<string, string> {
  return { 'upload-checksum': `${algorithm} ${Buffer.from(hash(algorithm, bytes, 'hex'), 'hex').toString('base64')}` };
}

function temporaries(node: TestNode): string[] {
  return readdirSync(join(node.storePath, 'tmp'));
}

t.test('what the server can do is said to everybody', async (t) => {
  const node = await TestNode.start(t, { env: { FIDFS_MAX_FILE_SIZE: '1MiB' } });
  const { status, headers } = await tus(node, 'OPTIONS', '/tus/', { authorization: '' });
  t.equal(status, 204);
  t.match(headers, {
    'tus-resumable': '1.0.0',
    'tus-version': '1.0.0',
    'tus-extension': 'creation,creation-with-upload,termination,expiration,checksum',
    'tus-max-size': String(2 ** 20),
    'tus-checksum-algorithm': 'sha1,sha256,md5',
  });
  t.notOk(
    Object.keys(headers).some((name) => name.startsWith('access-control-')),
    'pages of others are not invited',
  );
});

t.test('a file in three pieces gets its ID with the last, and says it until it is forgotten', async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t);
  const content = random.bytes(3_000_000);
  const upload = await begin(node, content.length, named('a/b/Grüße.tar.gz'));
  t.match(upload, /^\/tus\/1-[0-9a-f]{32}$/);
  const first = await send(node, upload, 0, content.subarray(0, 1_000_000));
  t.match(first, { status: 204, headers: { 'upload-offset': '1000000', 'upload-expires': /GMT$/ } });
  t.strictSame(await stateOf(node, upload), { offset: 1_000_000, id: undefined });
  await send(node, upload, 1_000_000, content.subarray(1_000_000, 1_000_001));
  const last = await send(node, upload, 1_000_001, content.subarray(1_000_001));
  const id = String(last.headers['fidfs-id']);
  t.match(id, /\.tar\.gz$/);
  t.match(last, { status: 204, headers: { 'upload-offset': '3000000', 'fidfs-url': `${node.origin}/${id}` } });
  t.ok((await node.get(id)).body.equals(content));
  t.strictSame(await stateOf(node, upload), { offset: 3_000_000, id });
  await node.stop();
  await node.start();
  t.strictSame(await stateOf(node, upload), { offset: 3_000_000, id }, 'after a restart, too');
  const ended = await tus(node, 'DELETE', upload);
  assertProblem(t, ended, 400, 'bad-request', 'it is a file now');
  t.equal((await node.get(id)).status, 200);
  await node.assertClean(t);
});

t.test('one request is enough for a file that comes with its creation, and for an empty one', async (t) => {
  const node = await TestNode.start(t);
  const content = Buffer.from('all of it');
  const answer = await tus(node, 'POST', '/tus', { ...OCTETS, 'upload-length': String(content.length) }, content);
  t.match(answer, { status: 201, headers: { location: /^\/tus\/1-/, 'upload-offset': '9' } });
  t.equal((await node.get(String(answer.headers['fidfs-id']))).body.toString(), 'all of it');
  const empty = await tus(node, 'POST', '/tus', { 'upload-length': '0' });
  t.equal((await node.get(String(empty.headers['fidfs-id']))).headers['content-length'], '0');
  const part = await tus(node, 'POST', '/tus', { ...OCTETS, 'upload-length': '20' }, content);
  t.match(part, { status: 201, headers: { 'upload-offset': '9', 'upload-expires': /GMT$/ } });
  t.strictSame(await stateOf(node, String(part.headers.location)), { offset: 9, id: undefined });
});

t.test('a content that is here already is stored once', async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t);
  const content = random.bytes(700_000);
  const { id } = await node.upload(content);
  const upload = await begin(node, content.length);
  const other = String((await send(node, upload, 0, content)).headers['fidfs-id']);
  t.not(other, id);
  const { files, saved } = await node.status();
  t.match({ files, saved }, { files: 2, saved: 700_000 });
  await node.assertClean(t);
});

t.test('an upload that is ended is gone, with what came of it', async (t) => {
  const node = await TestNode.start(t);
  const upload = await begin(node, 100);
  await send(node, upload, 0, Buffer.alloc(50));
  t.equal(temporaries(node).length, 1);
  t.equal(
    (await tus(node, 'POST', upload, { 'x-http-method-override': 'DELETE' })).status,
    204,
    'by a client that only posts',
  );
  t.strictSame(temporaries(node), []);
  assertProblem(t, await tus(node, 'HEAD', upload), 404, 'not-found', 'then it is unknown');
  assertProblem(t, await send(node, upload, 50, Buffer.alloc(50)), 404, 'not-found', 'and takes no more');
});

// Seen to fail with `isWhole` false, and without ExpectedChecksum.check.
t.test('a piece that is not what its checksum says leaves nothing', async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t);
  const content = random.bytes(6_000_000);
  const upload = await begin(node, content.length);
  const half = content.subarray(0, 3_000_000);
  const wrong = await send(node, upload, 0, half, checksum(content));
  assertProblem(t, wrong, 460, 'checksum-mismatch', 'another content');
  t.strictSame(await stateOf(node, upload), { offset: 0, id: undefined });
  const unknown = await send(node, upload, 0, half, { 'upload-checksum': 'crc9 AAAA' });
  assertProblem(t, unknown, 400, 'bad-digest', 'an unknown algorithm');
  t.equal((await send(node, upload, 0, half, checksum(half, 'sha1'))).status, 204);

  // Sends half a piece and closes the connection.
  const socket = connect(node.port, '127.0.0.1');
  const head = {
    ...node.authorized({ 'tus-resumable': '1.0.0', ...OCTETS }),
    ...checksum(content.subarray(3_000_000)),
  };
  const lines = Object.entries({ ...head, host: 'x', 'upload-offset': '3000000', 'content-length': '3000000' });
  socket.write(`PATCH ${upload} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
  socket.write(content.subarray(3_000_000, 5_000_000));
  await node.until(() => socket.bytesWritten > 2_000_000 && socket.writableLength === 0, 'sent');
  socket.destroy();
  await once(socket, 'close');
  await node.until(
    async () => (await stateOf(node, upload)).offset === 3_000_000,
    'at the end of the last whole piece',
  );

  const last = await send(
    node,
    upload,
    3_000_000,
    content.subarray(3_000_000),
    checksum(content.subarray(3_000_000), 'md5'),
  );
  t.ok((await node.get(String(last.headers['fidfs-id']))).body.equals(content));
});

t.test('what breaks the protocol is refused, and the upload goes on', async (t) => {
  const node = await TestNode.start(t, { env: { FIDFS_MAX_FILE_SIZE: '1MiB' } });
  const upload = await begin(node, 1000);
  const bytes = Buffer.alloc(600, 1);
  await send(node, upload, 0, bytes);
  const cases: [status: number, name: string, what: string, answer: ReturnType<typeof tus>][] = [
    [401, 'no-key', 'no key', tus(node, 'POST', '/tus/', { 'upload-length': '1', authorization: '' })],
    [401, 'no-key', 'no key to go on', send(node, upload, 600, bytes, { authorization: '' })],
    [401, 'wrong-key', 'another key to look', tus(node, 'HEAD', upload, { authorization: 'Bearer wrong' })],
    [
      412,
      'precondition-failed',
      'another version',
      tus(node, 'POST', '/tus/', { 'upload-length': '1', 'tus-resumable': '0.2.2' }),
    ],
    [400, 'bad-request', 'no length', tus(node, 'POST', '/tus/')],
    [400, 'bad-request', 'a length that is none', tus(node, 'POST', '/tus/', { 'upload-length': '-1' })],
    [400, 'bad-request', 'a length to come', tus(node, 'POST', '/tus/', { 'upload-defer-length': '1' })],
    [
      400,
      'bad-request',
      'parts to be joined',
      tus(node, 'POST', '/tus/', { 'upload-length': '1', 'upload-concat': 'partial' }),
    ],
    [
      413,
      'too-large',
      'larger than files may be',
      tus(node, 'POST', '/tus/', { 'upload-length': String(2 ** 20 + 1) }),
    ],
    [
      400,
      'bad-request',
      'metadata that is none',
      tus(node, 'POST', '/tus/', { 'upload-length': '1', 'upload-metadata': 'filename $$$' }),
    ],
    [409, 'offset-conflict', 'an offset behind', send(node, upload, 500, bytes)],
    [409, 'offset-conflict', 'an offset ahead', send(node, upload, 700, bytes)],
    [
      400,
      'bad-request',
      'an offset that is none',
      tus(node, 'PATCH', upload, { ...OCTETS, 'upload-offset': '1e9' }, bytes),
    ],
    [400, 'bad-request', 'no offset', tus(node, 'PATCH', upload, OCTETS, bytes)],
    [400, 'bad-request', 'another media type', send(node, upload, 600, bytes, { 'content-type': 'text/plain' })],
    [413, 'too-large', 'a piece beyond the end', send(node, upload, 600, bytes)],
    [404, 'not-found', 'an upload that is none', tus(node, 'HEAD', `/tus/1-${'0'.repeat(32)}`)],
    [404, 'not-found', 'traversal', tus(node, 'HEAD', '/tus/1-..%2f..%2fkey')],
    [404, 'not-found', 'a node that is none', tus(node, 'HEAD', `/tus/9-${'0'.repeat(32)}`)],
  ];
  for (const [status, name, what, answer] of cases) assertProblem(t, await answer, status, name, what);
  // Seen to fail (201) when every POST is passed to the library.
  const post = await tus(node, 'POST', upload, { 'upload-length': '1' });
  assertProblem(t, post, 405, 'method-not-allowed', 'another beginning');
  const get = await node.get(upload, node.authorized());
  assertProblem(t, get, 405, 'method-not-allowed', 'a GET');
  t.strictSame(await stateOf(node, upload), { offset: 600, id: undefined });
  const last = await send(node, upload, 600, Buffer.alloc(400, 1));
  t.match(last, { status: 204, headers: { 'fidfs-id': /^group1/ } });
  t.strictSame(temporaries(node), []);
});

// Seen to fail (two IDs) without locks.
t.test('an upload that is finished twice at once becomes one file', async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t);
  for (let round = 0; round < 10; round++) {
    const content = random.bytes(100_000);
    const upload = await begin(node, content.length);
    await send(node, upload, 0, content.subarray(0, 50_000));
    const rest = content.subarray(50_000);
    const answers = await Promise.allSettled([
      send(node, upload, 50_000, rest),
      send(node, upload, 50_000, rest),
      stateOf(node, upload),
    ]);
    const ids = answers.map((one) =>
      one.status === 'fulfilled' && 'headers' in one.value ? one.value.headers['fidfs-id'] : undefined,
    );
    const { id } = await stateOf(node, upload);
    t.strictSame(
      [...new Set(ids)].filter((one) => one !== undefined),
      [id],
    );
  }
  const { files } = await node.status();
  t.equal(files, 10);
  await node.assertClean(t);
});

t.test('a client that comes back need not wait for its old connection to be given up', async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t);
  const content = random.bytes(2_000_000);
  const upload = await begin(node, content.length);
  const socket = connect(node.port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  const lines = Object.entries({
    ...node.authorized({ 'tus-resumable': '1.0.0', ...OCTETS }),
    host: 'x',
    'upload-offset': '0',
    'content-length': String(content.length),
  });
  socket.write(`PATCH ${upload} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
  socket.write(content.subarray(0, 1_500_000));
  await node.until(async () => (await stateOf(node, upload)).offset > 0, 'in possession of a part');
  const { offset } = await stateOf(node, upload);
  const last = await send(node, upload, offset, content.subarray(offset));
  t.ok((await node.get(String(last.headers['fidfs-id']))).body.equals(content));
});
