import { gunzipSync, gzipSync } from 'node:zlib';
import t from 'tap';
import { startCluster } from '../helpers/cluster.js';
import { TestNode } from '../helpers/node.js';
import { outcome } from '../helpers/raw.js';

/*
 * Charset and compression of downloads, and conditional deletions.
 */

const long = Buffer.from('Всё хорошо. '.repeat(200));
const GZIP = { 'accept-encoding': 'gzip' };

t.test('a node as it comes', async (t) => {
  const node = await TestNode.start(t);

  // Seen to fail without servedType in nginx/downloads.ts.
  t.test('text says that it is UTF-8, and nothing else does', async (t) => {
    const types: [ext: string, type: string][] = [
      ['txt', 'text/plain; charset=utf-8'],
      ['md', 'text/markdown; charset=utf-8'],
      ['log', 'text/plain; charset=utf-8'],
      ['csv', 'text/csv; charset=utf-8'],
      ['html', 'text/html; charset=utf-8'],
      ['js', 'text/javascript; charset=utf-8'],
      ['json', 'application/json'],
      ['xml', 'application/xml'],
      ['svg', 'image/svg+xml'],
      ['jpg', 'image/jpeg'],
      ['', 'application/octet-stream'],
    ];
    const found: typeof types = [];
    for (const [ext] of types) {
      const { id } = await node.upload(long, ext === '' ? '' : `?ext=${ext}`);
      const { headers } = await node.get(id);
      found.push([ext, String(headers['content-type'])]);
      t.equal((await node.get(id, { range: 'bytes=0-3' })).headers['content-type'], headers['content-type'], ext);
      t.equal((await node.get(`${id}?download=x`)).headers['content-type'], headers['content-type'], ext);
    }
    t.strictSame(found, types);
  });

  // Seen to fail without compression() in nginx/downloads.ts.
  t.test('text, scripts, JSON and SVG of more than 1 KB are compressed for those who take it', async (t) => {
    for (const ext of ['txt', 'js', 'css', 'json', 'svg', 'html', 'csv', 'xml']) {
      const { id } = await node.upload(long, `?ext=${ext}`);
      const plain = await node.get(id);
      t.strictSame([plain.headers['content-encoding'], plain.headers.vary], [undefined, 'Accept-Encoding'], ext);
      t.ok(plain.body.equals(long));
      const packed = await node.get(id, GZIP);
      t.strictSame([packed.headers['content-encoding'], packed.headers.vary], ['gzip', 'Accept-Encoding'], ext);
      t.equal(packed.headers.etag, `W/${plain.headers.etag}`);
      t.ok(gunzipSync(packed.body).equals(long));
      t.equal((await node.get(id, { ...GZIP, 'if-none-match': String(packed.headers.etag) })).status, 304);
      const part = await node.get(id, { range: 'bytes=2-5' });
      t.strictSame([part.status, part.body.toString()], [206, long.subarray(2, 6).toString()], 'ranges without gzip');
    }
    for (const ext of ['jpg', 'png', 'mp4', 'zip', 'gz', '']) {
      const { id } = await node.upload(long, ext === '' ? '' : `?ext=${ext}`);
      const { headers, body } = await node.get(id, GZIP);
      t.strictSame([headers['content-encoding'], headers.vary, body.equals(long)], [undefined, undefined, true], ext);
    }
    const { id } = await node.upload(long.subarray(0, 1000), '?ext=txt');
    t.equal((await node.get(id, GZIP)).headers['content-encoding'], undefined, 'nothing is gained below that');
    t.notMatch(node.log, '[warn]', 'nginx can build its table of types');
  });

  // Seen to fail without the location of compressed files.
  t.test('.svgz says that it is compressed SVG, and is compressed once', async (t) => {
    const picture = gzipSync(Buffer.concat([Buffer.from('<svg xmlns="http://www.w3.org/2000/svg">'), long]));
    for (const ext of ['svgz', 'SVGZ']) {
      const { id } = await node.upload(picture, `?ext=${ext}`);
      for (const [query, headers] of [
        ['', {}],
        ['', GZIP],
        ['?download=a.svgz', GZIP],
      ] as const) {
        const answer = await node.get(id + query, headers);
        t.strictSame(
          [answer.status, answer.headers['content-type'], answer.headers['content-encoding']],
          [200, 'image/svg+xml', 'gzip'],
        );
        t.ok(answer.body.equals(picture));
        t.match(answer.headers['content-disposition'], /^attachment/);
        t.equal(answer.headers['x-content-type-options'], 'nosniff');
        t.match(answer.headers['cache-control'], /immutable/);
      }
    }
  });

  // Seen to fail (204) without assertConditions.
  t.test('a deletion whose condition does not hold is 412, and the file stays', async (t) => {
    const { id } = await node.upload(long, '?ext=txt');
    const { headers } = await node.get(id);
    const etag = String(headers.etag);
    const before = 'Sat, 01 Jan 2000 00:00:00 GMT';
    const failing: Record<string, string>[] = [
      { 'if-match': '"x"' },
      { 'if-match': `W/${etag}` },
      { 'if-match': 'x' },
      { 'if-none-match': etag },
      { 'if-none-match': `"x", W/${etag}` },
      { 'if-none-match': '*' },
      { 'if-unmodified-since': before },
    ];
    for (const condition of failing) {
      t.equal(
        outcome(await node.delete(id, node.authorized(condition))),
        '412 precondition-failed',
        JSON.stringify(condition),
      );
    }
    t.equal((await node.get(id)).status, 200);
    const holding: Record<string, string>[] = [
      { 'if-match': etag },
      { 'if-match': `"x", ${etag}`, 'if-unmodified-since': before },
      { 'if-match': '*' },
      { 'if-none-match': '"x"' },
      { 'if-unmodified-since': 'Fri, 01 Jan 2100 00:00:00 GMT' },
      { 'if-unmodified-since': 'one day' },
    ];
    for (const condition of holding) {
      const { id } = await node.upload(long, '?ext=txt');
      t.equal((await node.delete(id, node.authorized(condition))).status, 204, JSON.stringify(condition));
    }
    t.equal(
      outcome(await node.delete(`${id.slice(0, -8)}000.txt`, node.authorized({ 'if-match': '"x"' }))),
      '404 not-found',
    );
  });
});

t.test('charset and gzip can be set and be off', async (t) => {
  const node = await TestNode.start(t, { env: { FIDFS_CHARSET: 'off', FIDFS_GZIP: 'off' } });
  const { id } = await node.upload(long, '?ext=txt');
  const { headers } = await node.get(id, GZIP);
  t.strictSame([headers['content-type'], headers['content-encoding']], ['text/plain', undefined]);
  await node.stop();
  node.configure({ FIDFS_CHARSET: 'gb18030' });
  await node.start();
  t.equal((await node.get(id)).headers['content-type'], 'text/plain; charset=gb18030');
});

// Seen to fail without the conditions in forwardDeletion, and without compression() in the location of files of other nodes.
t.test('for files of another group it is all the same', async (t) => {
  const [first, second] = (await startCluster(t, { groups: ['group1', 'group2'] })) as [TestNode, TestNode];
  const { id } = await second.upload(long, '?ext=txt');
  const packed = await first.get(id, GZIP);
  t.strictSame(
    [packed.headers['content-encoding'], packed.headers.vary, packed.headers['content-type']],
    ['gzip', 'Accept-Encoding', 'text/plain; charset=utf-8'],
  );
  t.ok(gunzipSync(packed.body).equals(long));
  t.equal((await first.get(`${id}?download`)).headers['content-disposition'], 'attachment');
  const etag = String((await first.get(id)).headers.etag);
  t.equal(outcome(await first.delete(id, first.authorized({ 'if-match': '"x"' }))), '412 precondition-failed');
  t.equal((await second.get(id)).status, 200);
  t.equal((await first.delete(id, first.authorized({ 'if-match': etag }))).status, 204);
});
