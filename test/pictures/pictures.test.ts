import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { assertProblem } from '../helpers/assert-problem.js';
import { flipByte } from '../helpers/disk.js';
import { startWireNode } from '../helpers/fastdfs-node.js';
import { TrunkWriter } from '../helpers/fastdfs-store.js';
import { Elsewhere } from '../helpers/keys.js';
import { TestNode } from '../helpers/node.js';
import { BROWSER, bomb, counted, noisyJpeg, picture, plainJpeg } from '../helpers/pictures.js';

const PRESETS = JSON.stringify({
  thumb: { width: 60, height: 60, fit: 'cover', quality: 80 },
  wide: { width: 200, fit: 'inside', quality: 70 },
  // A word of nginx's map.
  default: { width: 30 },
});

function start(t: Test, env: Record<string, string> = {}): Promise<TestNode> {
  return TestNode.start(t, { env: { FIDFS_PICTURES: PRESETS, ...env } });
}

t.test('pictures of one node', async (t) => {
  const node = await start(t);
  const { id } = await node.upload(await plainJpeg(400, 200), '?ext=jpg');

  // Seen to fail without the types that are accepted in the key of the cache.
  t.test('the format is that which the client accepts', async (t) => {
    const accepts: [accept: string, type: string][] = [
      [BROWSER, 'image/avif'],
      ['image/webp,*/*', 'image/webp'],
      ['image/webp;q=0.8, image/avif;q=0', 'image/webp'],
      ['text/html , image/avif;v=1;q=0.000 , IMAGE/WEBP ; q=0.1', 'image/webp'],
      ['image/avif;q=0.001', 'image/avif'],
      ['image/avif;q=1.0,image/webp;q=0', 'image/avif'],
      ['image/avif-sequence, image/webpx, ximage/webp', 'image/jpeg'],
      ['image/avif; q=0, image/webp;q=0.', 'image/jpeg'],
      ['*/*', 'image/jpeg'],
      ['', 'image/jpeg'],
    ];
    for (const round of ['made', 'kept']) {
      for (const [accept, type] of accepts) {
        const { status, headers, body } = await picture(node, 'thumb', id, accept);
        t.match({ status, type: headers['content-type'], vary: headers.vary }, { status: 200, type, vary: 'Accept' });
        const { format, width, height } = await sharp(body).metadata();
        t.match({ format, width, height }, { format: type.slice(6).replace('avif', 'heif'), width: 60, height: 60 });
        t.match(headers, {
          'cache-control': 'public, max-age=31536000, immutable',
          'x-content-type-options': 'nosniff',
          'content-length': String(body.length),
        });
        t.ok(body.length > 40, `${round} for ${accept}`);
      }
    }
    t.equal(await counted(node, 'made'), 4, 'one for each combination of types');
  });

  t.test('another preset makes another picture, and the page has one of its own', async (t) => {
    const { body } = await picture(node, 'wide', id);
    t.match(await sharp(body).metadata(), { width: 200, height: 100 });
    const { body: console } = await picture(node, 'console', id, 'image/webp');
    t.match(await sharp(console).metadata(), { width: 320, height: 200, format: 'webp' });
    t.match(await sharp((await picture(node, 'default', id)).body).metadata(), { width: 30, height: 15 });
  });

  t.test('conditions work, of a kept picture and of one that is made for the request', async (t) => {
    const { headers } = await picture(node, 'thumb', id);
    const original = await node.get(id);
    const { etag, 'last-modified': date } = headers as { etag: string; 'last-modified': string };
    t.equal(date, original.headers['last-modified'], 'the second of the upload');
    t.match(etag, /^W\/".+-[0-9a-f]{12}-jpeg"$/);
    const other = await picture(node, 'thumb', id, BROWSER);
    t.not(other.headers.etag, etag);
    const early = 'Thu, 01 Jan 1970 00:00:00 GMT';
    const late = new Date(Date.parse(date) + 1000).toUTCString();
    const conditions: [condition: Record<string, string>, status: number][] = [
      [{ 'if-none-match': etag }, 304],
      [{ 'if-none-match': `"x", ${etag}` }, 304],
      [{ 'if-none-match': String(other.headers.etag) }, 200],
      [{ 'if-modified-since': date }, 304],
      [{ 'if-modified-since': late }, 304],
      [{ 'if-modified-since': early }, 200],
      [{ 'if-unmodified-since': early }, 412],
    ];
    for (const [condition, status] of conditions) {
      const answer = await node.get(`/picture/thumb/${id}`, condition);
      t.equal(answer.status, status, JSON.stringify(condition));
      if (status === 304) t.match(answer.headers, { etag, vary: 'Accept', 'cache-control': /immutable/ });
    }
    const fresh = await node.upload(await plainJpeg(90, 90, '#123456'), '?ext=jpg');
    t.equal((await node.get(`/picture/thumb/${fresh.id}`, { 'if-none-match': '*' })).status, 304);
    const whole = await node.get(`/picture/thumb/${fresh.id}`, { range: 'bytes=0-9' });
    t.equal(whole.status, 200, 'ranges are not served');
    const head = await node.request(`/picture/thumb/${fresh.id}`, { method: 'HEAD' });
    t.match(head, { status: 200, headers: { 'content-length': String(whole.body.length) } });
  });

  t.test('names that are shorter than an ID', async (t) => {
    const [, m, ...rest] = id.split('/');
    for (const short of [`${m}/${rest.join('/')}`, rest.join('/'), `group1/${rest.join('/')}`]) {
      t.equal((await picture(node, 'thumb', short)).status, 200, short);
    }
  });

  t.test('what is not there', async (t) => {
    const absent = id.replace(/^(.*\/)A/, '$1B');
    assertProblem(t, await picture(node, 'none', id), 404, 'no-such-preset', 'an unknown preset');
    assertProblem(t, await node.get('/picture/'), 404, 'no-such-preset', 'no preset');
    assertProblem(t, await node.get('/picture/320x320/x'), 404, 'no-such-preset', 'numbers');
    assertProblem(t, await picture(node, 'thumb', `%2e%2e/${id}`), 404, 'no-such-preset', 'no preset but a group');
    for (const wrong of [absent, 'group1/M01/00/00/x', 'group2/M00/00/00/x', '', 'x', `${id}-m`, `${id}%0a`]) {
      assertProblem(t, await picture(node, 'thumb', wrong), 404, 'not-found', wrong);
    }
    for (const method of ['POST', 'PUT', 'DELETE'] as const) {
      const answer = await node.request(`/picture/thumb/${id}`, { method, headers: node.authorized() });
      assertProblem(t, answer, 405, 'method-not-allowed', method);
    }
  });

  // Seen to fail without proxy_cache_valid 415.
  t.test('no pictures of other files; they are not tried for each request', async (t) => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"><rect width="9" height="9"/></svg>';
    const noise = await noisyJpeg(300, 300);
    const files: Record<string, Buffer> = {
      bomb: bomb(30_000, 30_000),
      svg: Buffer.from(svg),
      pdf: Buffer.from('%PDF-1.4\n'),
      text: Buffer.from('no picture'),
      empty: Buffer.alloc(0),
      half: noise.subarray(0, noise.length / 2),
    };
    for (const [name, bytes] of Object.entries(files)) {
      const { id } = await node.upload(bytes, '?ext=jpg');
      const before = await counted(node, 'refused');
      for (let round = 0; round < 3; round++) {
        const answer = await picture(node, 'thumb', id);
        assertProblem(t, answer, 415, 'not-a-picture', name);
        t.equal(answer.headers['cache-control'], undefined);
      }
      t.equal((await counted(node, 'refused')) - before, 1, `${name} is tried once`);
    }
  });

  // Seen to fail (the picture is still sent) without the look at the file before that into the cache.
  t.test('with its file a picture is gone', async (t) => {
    const { id } = await node.upload(await plainJpeg(91, 91), '?ext=jpg');
    t.equal((await picture(node, 'thumb', id)).status, 200);
    t.equal((await picture(node, 'thumb', id)).status, 200);
    t.equal((await node.delete(id)).status, 204);
    assertProblem(t, await picture(node, 'thumb', id), 404, 'not-found', 'a deleted file');
  });

  // Seen to fail without isDamaged.
  t.test('no picture of a damaged file is made, and so none is kept', async (t) => {
    const bytes = await noisyJpeg(300, 300);
    const { id } = await node.upload(bytes, '?ext=jpg');
    const { id: text } = await node.upload(Buffer.from('no picture, and damaged'), '?ext=jpg');
    const damage = () => {
      flipByte(node.pathOf(id), bytes.length >> 1);
      flipByte(node.pathOf(text), 5);
    };
    damage();
    for (const one of [id, id, text]) {
      assertProblem(t, await picture(node, 'thumb', one), 503, 'unavailable', 'a damaged file');
    }
    t.equal(await counted(node, 'damaged'), 3);
    damage();
    t.equal((await picture(node, 'thumb', id)).status, 200, 'repaired');
    assertProblem(t, await picture(node, 'thumb', text), 415, 'not-a-picture', 'repaired');
  });

  t.test('with the daemon stopped, kept pictures are sent', async (t) => {
    const fresh = await node.upload(await plainJpeg(92, 92), '?ext=jpg');
    process.kill(node.daemonPid(), 'SIGSTOP');
    t.equal((await picture(node, 'thumb', id)).status, 200);
    process.kill(node.daemonPid(), 'SIGCONT');
    t.equal((await picture(node, 'thumb', fresh.id)).status, 200);
  });
});

// Seen to fail without proxy_cache_lock.
t.test('a thousand first requests make one picture', async (t) => {
  const node = await start(t);
  const { id } = await node.upload(await noisyJpeg(2000, 1500), '?ext=jpg');
  // A connection for each; those of the helper are limited.
  const clients = new Elsewhere('127.0.0.1');
  t.teardown(() => clients.close());
  const url = `${node.origin}/picture/thumb/${id}`;
  const asked = Array.from({ length: 1000 }, () => clients.request(url, 'GET', { accept: BROWSER }));
  const answers = await Promise.all(asked);
  t.strictSame(new Set(answers.map(({ status }) => status)), new Set([200]));
  t.equal(new Set(answers.map(({ body }) => body.toString('base64'))).size, 1);
  t.equal(await counted(node, 'made'), 1);
});

// Seen to fail without the digest in the key of the cache.
t.test('a changed preset makes new pictures; kept ones outlast a restart', async (t) => {
  const node = await start(t);
  const { id } = await node.upload(await plainJpeg(400, 200), '?ext=jpg');
  const first = await picture(node, 'thumb', id);
  await node.stop();
  await node.start();
  const second = await picture(node, 'thumb', id);
  t.ok(second.body.equals(first.body));
  t.equal(await counted(node, 'made'), 0, 'after the restart');
  await node.stop();
  node.configure({ FIDFS_PICTURES: PRESETS.replace('"width":60', '"width":50') });
  await node.start();
  const third = await picture(node, 'thumb', id);
  t.match(await sharp(third.body).metadata(), { width: 50, height: 60 });
  t.not(third.headers.etag, first.headers.etag);
  const pattern = /fidfs: .*pictures/;
  t.notMatch(node.log, pattern);
  t.ok(readdirSync(join(node.data, 'nginx/own-pictures')).length > 0);
});

// Seen to fail without the guard.
t.test("pictures need FastDFS's token where files do", async (t) => {
  const node = await start(t, { FIDFS_FASTDFS_TOKEN_KEY: 'FastDFS1234567890' });
  const { id } = await node.upload(await plainJpeg(90, 90), '?ext=jpg');
  const absent = id.replace(/^(.*\/)A/, '$1B');
  const query = (of: string) => {
    const text = `${of.slice(of.indexOf('/') + 1)}FastDFS12345678900`;
    return `?token=${createHash('md5').update(text).digest('hex')}&ts=0`;
  };
  for (const [preset, file] of [
    ['thumb', id],
    ['thumb', absent],
    ['wide', id],
    ['thumb', id.replace('/M00', '')],
  ] as const) {
    assertProblem(t, await picture(node, preset, file), 400, 'bad-request', `${preset} ${file} without a token`);
    assertProblem(t, await picture(node, preset, `${file}?token=x&ts=0`), 400, 'bad-request', 'a wrong one');
  }
  const answer = await picture(node, 'thumb', id + query(id));
  t.match(answer, { status: 200, headers: { 'cache-control': /^private/ } });
  t.equal((await picture(node, 'thumb', id)).status, 400, 'a kept picture, too');
  t.equal((await picture(node, 'thumb', absent + query(absent))).status, 404);
});

t.test('no pictures are made of appenders, which can change', async (t) => {
  const { node, client } = await startWireNode(t, { env: { FIDFS_PICTURES: PRESETS } });
  const id = await client.upload(await plainJpeg(90, 90), 'jpg', { command: 23 });
  assertProblem(t, await picture(node, 'thumb', id), 415, 'not-a-picture', 'an appender');
});

t.test("of packed files of FastDFS's, too, and they are gone with their files", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const roots = [join(directory, 'fastdfs0'), join(directory, 'fastdfs1')];
  const trunk = new TrunkWriter();
  const source = [10, 66, 0, 3];
  const id = trunk.add({ source, content: await plainJpeg(90, 90), tail: '853.jpg' });
  const other = trunk.add({ source, content: Buffer.from('no picture'), tail: '854.jpg' });
  const freed = trunk.add({ source, content: Buffer.from('gone'), tail: '855.jpg', free: true });
  trunk.write(roots);
  const env = { FIDFS_STORE_PATHS: roots.join(','), FIDFS_PICTURES: PRESETS };
  const node = await TestNode.start(t, { directory, env });
  t.match(await picture(node, 'thumb', id), { status: 200, headers: { 'content-type': 'image/jpeg' } });
  assertProblem(t, await picture(node, 'thumb', other), 415, 'not-a-picture', 'a packed file that is no picture');
  assertProblem(t, await picture(node, 'thumb', freed), 404, 'not-found', 'a packed file that was freed');
  t.equal((await node.delete(id)).status, 204);
  assertProblem(t, await picture(node, 'thumb', id), 404, 'not-found', 'a deleted one');
});
