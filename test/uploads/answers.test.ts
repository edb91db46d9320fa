import t from 'tap';
import { problemOf } from '../helpers/assert-problem.js';
import { filesOn } from '../helpers/disk.js';
import { MULTIPART, multipart } from '../helpers/multipart.js';
import { TestNode, uploadedOf } from '../helpers/node.js';
import { head, outcome, raw } from '../helpers/raw.js';

const body = Buffer.from('some bytes');
const two = multipart({ fileName: 'a.txt', content: 'one' }, { fileName: 'b.txt', content: 'two' });

t.test('with a node that has no publicUrl', async (t) => {
  const node = await TestNode.start(t);

  t.test('the JSON of a 201 has exactly the fields of the contract', async (t) => {
    const before = Math.floor(Date.now() / 1000) * 1000;
    const answer = await node.post(body, '?ext=txt');
    const [file] = uploadedOf(answer);
    t.match(answer.headers['content-type'], /^application\/json$/);
    t.equal(answer.headers.location, file?.url);
    t.match(file?.id, /^group1\/M00\/[0-9A-F]{2}\/[0-9A-F]{2}\/[\w-]{27}\d{3}\.txt$/);
    t.strictSame(
      { ...file, id: '', created: '' },
      {
        id: '',
        url: `${node.origin}/${file?.id}`,
        size: 10,
        crc32: '9f597f55',
        sha256: '0d22cdcc10e6d049dbe1af5123d50873fdfc1a4f58306e58cb6241be9472014d',
        created: '',
        copies: 1,
      },
    );
    t.match(file?.created, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    const created = Date.parse(file?.created ?? '');
    t.ok(created >= before && created <= Date.now(), 'created is the second of the upload');
    const info = JSON.parse((await node.get(`/info/${file?.id}`)).body.toString());
    t.equal(info.created, file?.created, 'and the ID says the same');
  });

  t.test('text/plain is answered with the IDs, one a line', async (t) => {
    const answer = await node.post(two, '', { ...MULTIPART, accept: 'text/plain' });
    t.match(answer.headers['content-type'], /^text\/plain/);
    const lines = answer.body.toString().split('\n');
    t.equal(lines.length, 3);
    t.equal(lines[2], '');
    t.strictSame(
      [(await node.get(lines[0] ?? '')).body.toString(), (await node.get(lines[1] ?? '')).body.toString()],
      ['one', 'two'],
    );
  });

  t.test('Location is there when there is one file, and only then', async (t) => {
    t.equal((await node.post(two, '', MULTIPART)).headers.location, undefined);
    const one = await node.post(multipart({ fileName: 'a.txt', content: 'one' }), '', MULTIPART);
    t.equal(one.headers.location, uploadedOf(one)[0]?.url);
    const plain = await node.post(body, '', { accept: 'text/plain' });
    t.equal(plain.headers.location, `${node.origin}/${plain.body.toString().trim()}`);
  });

  // Seen to fail with x-forwarded-host before the host in publicBase.
  t.test("url begins with the request's own Host, and no X-Forwarded header is trusted", async (t) => {
    const urlFor = async (headers: Record<string, string>) => {
      const lines = { 'Content-Length': 1, 'Content-Type': 'text/plain', ...headers };
      const answer = await raw(t, node, head(node, 'POST /upload', lines), 'x');
      return answer.headers.location?.replace(/group1.*/, '');
    };
    t.equal(await urlFor({ Host: 'files.example.com' }), 'http://files.example.com/');
    t.equal(await urlFor({ Host: 'files.example.com:8443' }), 'http://files.example.com:8443/');
    t.equal(await urlFor({ Host: '[::1]:80' }), 'http://[::1]:80/');
    const forged = {
      'X-Forwarded-Host': 'evil.example',
      'X-Forwarded-Proto': 'https',
      'X-Forwarded-Port': '1',
      'X-Fidfs-Scheme': 'https',
      Forwarded: 'host=evil.example;proto=https',
    };
    t.equal(await urlFor({ Host: 'good.example', ...forged }), 'http://good.example/');
  });

  t.test('text fields and the empty file field of a browser are ignored', async (t) => {
    const form = multipart(
      { name: 'title', content: 'not a file' },
      { name: 'empty', fileName: '', type: 'application/octet-stream', content: '' },
      { name: 'photo', fileName: 'a.jpg', type: 'image/jpeg', content: 'jpeg' },
      { name: 'long', content: 'x'.repeat(200_000) },
      { name: 'zero', fileName: 'zero.txt', type: 'text/plain', content: '' },
    );
    t.strictSame(
      uploadedOf(await node.post(form, '', MULTIPART)).map((file) => file.size),
      [4, 0],
    );
  });

  t.test('without the key it is 401, and nothing is kept', async (t) => {
    const before = filesOn(node.storePath).length;
    const { key } = node;
    const forms = ['', 'Bearer', 'Bearer ', key, `Basic ${key}`, `Bearer${key}`, `Bearer ${key} x`];
    const outcomes: string[] = [];
    for (const authorization of forms) {
      for (const size of [1, 600_000]) {
        const lines = { Authorization: authorization, 'Content-Length': size };
        outcomes.push(outcome(await raw(t, node, head(node, 'POST /upload', lines), Buffer.alloc(size))));
      }
    }
    outcomes.push(outcome(await node.request('/upload', { method: 'POST', body })));
    outcomes.push(outcome(await node.request(`/upload?key=${key}`, { method: 'PUT', body })));
    t.strictSame([...new Set(outcomes)], ['401 no-key'], { outcomes });
    const answer = await node.request('/upload', { method: 'POST', body });
    t.match(answer.headers['www-authenticate'], /^Bearer/);
    t.notMatch(problemOf(answer).detail, key, 'the answer does not tell the key');
    t.equal(filesOn(node.storePath).length, before);
    t.equal(
      outcome(await node.request('/upload', { method: 'POST', body, headers: { authorization: `bearer ${key}` } })),
      '201',
      'the name of the scheme has no case',
    );
  });

  t.test('and afterwards nothing is wrong on the disk', (t) => node.assertClean(t));
});

t.test('url begins with publicUrl where that is set, whatever the Host', async (t) => {
  const node = await TestNode.start(t, { env: { FIDFS_PUBLIC_URL: 'https://cdn.example.com/files/' } });
  const answer = await node.post(body, '', { host: 'other.example' });
  const [file] = uploadedOf(answer);
  t.equal(file?.url, `https://cdn.example.com/files/${file?.id}`);
  t.equal(answer.headers.location, file?.url);
  // The address of a resumable upload has the same prefix. Seen to fail with the library's own Location.
  const headers = node.authorized({ 'tus-resumable': '1.0.0', 'upload-length': '5' });
  const begun = await node.request('/tus/', { method: 'POST', headers });
  t.match(begun.headers.location, /^\/files\/tus\/1-[0-9a-f]{32}$/);
});

t.test('with uploads open no key is needed to upload, but one to delete', async (t) => {
  const node = await TestNode.start(t, { env: { FIDFS_UPLOADS: 'open' } });
  t.match(node.log, /anybody who reaches this address can upload/, 'and the start says so');
  const answer = await node.request('/upload', { method: 'POST', body });
  const [file] = uploadedOf(answer);
  t.equal(outcome(await node.delete(file?.id ?? '', {})), '401 no-key');
  t.equal((await node.delete(file?.id ?? '')).status, 204);
});
