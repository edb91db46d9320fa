import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createCluster, startAll } from '../helpers/cluster.js';
import { startWireNode } from '../helpers/fastdfs-node.js';
import { TrunkWriter } from '../helpers/fastdfs-store.js';
import { type Answer, TestNode } from '../helpers/node.js';
import { plainJpeg } from '../helpers/pictures.js';

const APP = 'https://app.example.com';
const LIST = { FIDFS_CORS_DOWNLOADS: `${APP},http://127.0.0.1:3000,http://[::1]:3000` };
const MISSING = 'group1/M00/00/00/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg';

/** The headers of an answer for pages of other origins. undici gives a list for a header that comes more than once. */
function corsOf({ headers }: Answer) {
  return {
    origin: headers['access-control-allow-origin'],
    policy: headers['cross-origin-resource-policy'],
    exposed: headers['access-control-expose-headers'],
  };
}

function assertReadable(t: Test, answer: Answer, status: number, origin: string, what: string): void {
  const { exposed, ...others } = corsOf(answer);
  t.strictSame({ status: answer.status, ...others }, { status, origin, policy: 'cross-origin' }, what);
  t.match(exposed, /^Accept-Ranges, .*Content-Range, ETag/, `${what}: exposed`);
}

function assertUnreadable(t: Test, answer: Answer, what: string): void {
  const { origin, exposed } = corsOf(answer);
  t.strictSame({ origin, exposed }, { origin: undefined, exposed: undefined }, what);
}

function preflight(node: TestNode, path: string, origin: string, method = 'GET', headers = 'range'): Promise<Answer> {
  const asked = {
    origin,
    'access-control-request-method': method,
    'access-control-request-headers': headers,
  };
  return node.request(path, { method: 'OPTIONS', headers: asked });
}

// Seen to fail without the headers in each of the places that send files, and with those of the file left on a 416.
t.test('every origin may read every answer to a download', async (t) => {
  const presets = JSON.stringify({ thumb: { width: 20 } });
  const node = await TestNode.start(t, { env: { FIDFS_PICTURES: presets } });
  const { id } = await node.upload(await plainJpeg(90, 90), '?ext=jpg');
  const { id: large } = await node.upload(Buffer.alloc(100_000, 'a'), '?ext=txt');
  const { id: squeezed } = await node.upload(Buffer.from('<svg/>'), '?ext=svgz');
  const etag = String((await node.get(`/${id}`)).headers.etag);
  const old = 'Thu, 01 Jan 1970 00:00:00 GMT';
  const cases: [what: string, status: number, path: string, headers?: Record<string, string>][] = [
    ['a small file', 200, id],
    ['a large file', 200, large],
    ['compressed on the way', 200, large, { 'accept-encoding': 'gzip' }],
    ['stored compressed', 200, squeezed],
    ['a download name', 200, `${id}?download=a.jpg`],
    ['a part', 206, id, { range: 'bytes=1-5' }],
    ['two parts', 206, large, { range: 'bytes=1-5,10-20' }],
    ['a part that is not there', 416, id, { range: 'bytes=9999999-' }],
    ['the same', 304, id, { 'if-none-match': etag }],
    ['another', 412, id, { 'if-match': '"x"' }],
    ['another by date', 412, id, { 'if-unmodified-since': old }],
    ['by date', 200, id, { 'if-modified-since': old }],
    ['missing', 404, MISSING],
    ['not an ID', 404, 'group1/M00/00/00/x'],
    ['a picture', 200, `picture/thumb/${id}`],
    ['a picture from the cache', 200, `picture/thumb/${id}`],
    ['no picture', 415, `picture/thumb/${large}`],
    ['no preset', 404, `picture/none/${id}`],
  ];
  for (const [what, status, path, headers] of cases) {
    for (const origin of [{ origin: APP }, { origin: 'null' }, {}]) {
      assertReadable(
        t,
        await node.get(`/${path}`, { ...headers, ...origin } as Record<string, string>),
        status,
        '*',
        what,
      );
    }
  }
  for (const path of [id, `${id}?download=a`, `picture/thumb/${id}`, MISSING]) {
    const answer = await preflight(node, `/${path}`, APP);
    t.match(answer, { status: 204, body: Buffer.alloc(0) }, path);
    t.match(answer.headers, {
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'GET, HEAD',
      'access-control-allow-headers': /Range.*If-None-Match/,
      'access-control-max-age': /^\d+$/,
    });
  }
  for (const path of ['/console/', '/console/settings.json', '/healthz', '/metrics']) {
    assertUnreadable(t, await node.get(path, { origin: APP }), path);
  }
  assertUnreadable(t, await preflight(node, '/upload', APP, 'POST', 'authorization'), 'an upload');
  assertUnreadable(t, await preflight(node, `/${id}`, APP, 'DELETE', 'authorization'), 'a deletion');
  await node.assertClean(t);
});

// Seen to fail with the origins as texts of nginx's map (upper case), without the end of the expressions, and with dots not escaped.
t.test('of a list, only the origins in it', async (t) => {
  const node = await TestNode.start(t, { env: LIST });
  const { id } = await node.upload(await plainJpeg(90, 90), '?ext=jpg');
  const paths: [path: string, status: number, headers: Record<string, string>][] = [
    [id, 200, {}],
    [id, 206, { range: 'bytes=0-1' }],
    [MISSING, 404, {}],
    [`picture/console/${id}`, 200, {}],
  ];
  for (const [path, status, headers] of paths) {
    for (const origin of [APP, 'http://127.0.0.1:3000', 'http://[::1]:3000']) {
      const answer = await node.get(`/${path}`, { ...headers, origin });
      assertReadable(t, answer, status, origin, `${path} for ${origin}`);
      t.match([answer.headers.vary].flat().join(), 'Origin');
      t.equal((await preflight(node, `/${path}`, origin)).headers['access-control-allow-origin'], origin);
    }
    for (const origin of [
      `${APP}.evil.net`,
      `${APP}:8443`,
      APP.toUpperCase(),
      `${APP}/`,
      'http://app.example.com',
      'https://appXexample.com',
      'https://evil.net?https://app.example.com',
      'http://127.0.0.1:30000',
      'null',
      '*',
    ]) {
      const answer = await node.get(`/${path}`, { ...headers, origin });
      assertUnreadable(t, answer, `${path} for ${origin}`);
      t.equal(answer.status, status);
      t.match([answer.headers.vary].flat().join(), 'Origin', 'caches keep the answers apart');
      assertUnreadable(t, await preflight(node, `/${path}`, origin), `preflight of ${path} for ${origin}`);
    }
  }
  await node.assertClean(t);
});

t.test('none at all', async (t) => {
  const node = await TestNode.start(t, { env: { FIDFS_CORS_DOWNLOADS: 'none' } });
  const { id } = await node.upload(Buffer.from('a'));
  for (const path of [id, MISSING]) {
    const answer = await node.get(`/${path}`, { origin: APP });
    t.strictSame(corsOf(answer), { origin: undefined, policy: undefined, exposed: undefined });
    t.equal(answer.headers.vary, undefined);
    assertUnreadable(t, await preflight(node, `/${path}`, APP), `preflight of ${path}`);
  }
});

// Seen to fail (headers twice) without the removal of those of the peer, and (none) without those of this node.
t.test('files of other nodes have the headers once, and those for the origin that asks', async (t) => {
  for (const [env, allowed] of [
    [{}, '*'],
    [LIST, APP],
  ] as const) {
    const nodes = await createCluster(t, { groups: ['group1', 'group2'], env: { ...env } });
    await startAll(nodes);
    const [node, other] = nodes as [TestNode, TestNode];
    // A node may pass an upload on to the other group.
    const { id } = await other.upload(await plainJpeg(90, 90), '?ext=jpg&group=group2');
    t.match(id, /^group2/);
    const etag = String((await other.get(`/${id}`)).headers.etag);
    await node.until(async () => (await node.get(`/${id}`)).status === 200, 'serving it');
    const cases: [status: number, path: string, headers: Record<string, string>][] = [
      [200, id, {}],
      [206, id, { range: 'bytes=0-1' }],
      [416, id, { range: 'bytes=99999999-' }],
      [304, id, { 'if-none-match': etag }],
      [412, id, { 'if-match': '"x"' }],
      [200, `picture/console/${id}`, {}],
      [404, MISSING.replace('group1', 'group2'), {}],
    ];
    for (const [status, path, headers] of cases) {
      const answer = await node.get(`/${path}`, { ...headers, origin: APP });
      assertReadable(t, answer, status, allowed, `${status} of ${path}`);
    }
    if (allowed !== '*') {
      assertUnreadable(t, await node.get(`/${id}`, { origin: 'https://evil.net' }), 'another origin');
    }
    t.equal((await preflight(node, `/${id}`, APP)).headers['access-control-allow-origin'], allowed);
    for (const one of nodes) await one.stop();
  }
});

t.test('packed files and appenders', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const trunk = new TrunkWriter();
  const packed = trunk.add({ source: [10, 66, 0, 3], content: Buffer.alloc(90, 'a'), tail: '853.txt' });
  trunk.write([directory]);
  const { node, client } = await startWireNode(t, { env: { FIDFS_STORE_PATHS: directory } });
  const appender = await client.upload(Buffer.alloc(90, 'a'), 'txt', { command: 23 });
  for (const id of [packed, appender]) {
    assertReadable(t, await node.get(`/${id}`, { origin: APP }), 200, '*', id);
    assertReadable(t, await node.get(`/${id}`, { origin: APP, range: 'bytes=0-1' }), 206, '*', id);
    assertReadable(t, await node.get(`/${id}`, { origin: APP, range: 'bytes=900-' }), 416, '*', id);
    t.equal((await preflight(node, `/${id}`, APP)).status, 204);
  }
});
