import { Readable } from 'node:stream';
import t from 'tap';
import { problemOf } from '../helpers/assert-problem.js';
import { filesOn } from '../helpers/disk.js';
import { MULTIPART } from '../helpers/multipart.js';
import { TestNode } from '../helpers/node.js';
import { chunk, head, outcome, RawConnection, raw } from '../helpers/raw.js';

const MIB = 2 ** 20;
const node = await TestNode.start(t, { env: { FIDFS_MAX_FILE_SIZE: '1MiB' } });
const pid = node.daemonPid();
const { id } = await node.upload(Buffer.from('the file'), '?ext=txt');

/** The outcomes of POST /upload with each of these headers and three bytes of body. */
async function withHeader(name: string, values: string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const value of values) {
    const answer = await raw(t, node, head(node, 'POST /upload', { 'Content-Length': 3, [name]: value }), 'abc');
    found.set(value.slice(0, 60), outcome(answer));
  }
  return found;
}

function all(values: string[], expected: string): Map<string, string> {
  return new Map(values.map((value) => [value.slice(0, 60), expected]));
}

// Seen to fail with the same problem for both.
t.test('a wrong key is told from none at all, for uploads and deletions, and both are 401', async (t) => {
  const { key } = node;
  const none = ['', 'Bearer', 'Bearer ', key, `Basic ${key}`, `Token ${key}`];
  const wrong = [`Bearer ${key.slice(1)}`, `Bearer ${key}x`, `Bearer ${key.toUpperCase()}`, `Bearer "${key}"`];
  wrong.push(`Bearer ${'x'.repeat(7000)}`, 'Bearer \xff\xfe');
  const expected = new Map([...all(none, '401 no-key'), ...all(wrong, '401 wrong-key')]);
  t.strictSame(await withHeader('Authorization', [...none, ...wrong]), expected);
  const found = new Map<string, string>();
  const challenges = new Map<string, string | undefined>();
  for (const value of [...none, ...wrong]) {
    const answer = await raw(t, node, head(node, `DELETE /${id}`, { Authorization: value }));
    found.set(value.slice(0, 60), outcome(answer));
    challenges.set(value.slice(0, 60), answer.headers['www-authenticate']);
  }
  t.strictSame(found, expected);
  // RFC 6750, 3.1.
  const challenge = 'Bearer realm="fidfs"';
  t.strictSame(challenges, new Map([...all(none, challenge), ...all(wrong, `${challenge}, error="invalid_token"`)]));
  t.equal((await node.get(id)).status, 200);
});

// Seen to fail without the onRequest hook in server.ts (400).
t.test('a Content-Type that is none does not keep a body out', async (t) => {
  const types = [
    '',
    ';',
    '/',
    'x',
    '\xe9',
    'x'.repeat(7000),
    'a/b/c',
    '__proto__',
    'constructor/prototype',
    'text/html; charset=\xe9',
  ];
  t.strictSame(await withHeader('Content-Type', types), all(types, '201'));
});

t.test('multipart without a usable boundary is 400', async (t) => {
  const types = [
    '',
    ';',
    '; boundary',
    '; boundary=',
    '; boundary="',
    '; boundary=""',
    ' boundary=x',
    "; boundary*=utf-8''x",
  ];
  const found = [
    ...(
      await withHeader(
        'Content-Type',
        types.map((type) => `multipart/form-data${type}`),
      )
    ).values(),
  ];
  t.strictSame(
    found.filter((one) => !/^400 (malformed-multipart|bad-request)$/.test(one)),
    [],
  );
  const headers = { 'content-type': 'multipart/form-data' };
  t.match(problemOf(await node.post('x', '', headers)).detail, 'leave this header to your HTTP client');
});

// Seen to fail (500 and HTML) with named locations for nginx's early errors.
t.test('odd methods, versions and request lines are refused with a problem document', async (t) => {
  const lines = ['TRACE /upload HTTP/1.1', `TRACE /${id} HTTP/1.1`, 'CONNECT /upload HTTP/1.1', 'GET /upload HTTP/1.1'];
  lines.push('DELETE /upload HTTP/1.1', 'OPTIONS /upload HTTP/1.1', `POST /${id} HTTP/1.1`, `PATCH /${id} HTTP/1.1`);
  lines.push(`DELETE /info/${id} HTTP/1.1`, 'DELETE /healthz HTTP/1.1', 'PROPFIND /upload HTTP/1.1');
  const refused = [
    'FOO /upload HTTP/1.1',
    `FOO /${id} HTTP/1.1`,
    'get / HTTP/1.1',
    'GET / HTTP/9.9',
    'GET nothing HTTP/1.1',
  ];
  refused.push('GET * HTTP/1.1', 'GET / x HTTP/1.1', '\x00\x01\x02', `GET /${'x'.repeat(40_000)} HTTP/1.1`);
  const rest = `\r\nHost: a\r\nAuthorization: Bearer ${node.key}\r\nConnection: close\r\n\r\n`;
  const found: string[] = [];
  for (const line of lines) found.push(outcome(await raw(t, node, line + rest)));
  t.strictSame(found, new Array(lines.length).fill('405 method-not-allowed'));
  // Addresses to which users send files by mistake.
  for (const line of [
    'POST / HTTP/1.1',
    'PUT /photo.jpg HTTP/1.1',
    'POST /photos HTTP/1.1',
    `POST /info/${id} HTTP/1.1`,
  ]) {
    const answer = await raw(t, node, line + rest);
    t.equal(outcome(answer), '405 method-not-allowed', line);
    t.match(String(answer.body), 'files go to /upload, by POST or PUT', line);
    t.match(answer.headers.allow, 'GET, HEAD', line);
  }
  found.length = 0;
  for (const line of refused) found.push(outcome(await raw(t, node, line + rest)));
  t.strictSame(found, [...new Array(refused.length - 1).fill('400 bad-request'), '414 uri-too-long']);
});

// Seen to fail (502 in some rounds) without Connection: close in answerUnreadable.
t.test('a request that the daemon cannot parse does no harm to the next one', async (t) => {
  const wrong: string[] = [];
  for (let round = 0; round < 50; round++) {
    await raw(t, node, head(node, 'FOO /upload'));
    const next = outcome(await node.post(Buffer.from('x')));
    if (next !== '201') wrong.push(next);
  }
  t.strictSame(wrong, []);
});

// Seen to fail without the check of the host in publicBase.
t.test('a malformed Host is 400, and one too many or none too', async (t) => {
  const hosts = [
    '',
    'a b',
    'a/b',
    '..',
    'a\x00b',
    '[::1',
    'a"b',
    '\xff',
    '<script>',
    'a@b',
    'a?b',
    'a#b',
    'a%0d',
    'a:b:c',
  ];
  t.strictSame(await withHeader('Host', hosts), all(hosts, '400 bad-request'));
  const key = `Authorization: Bearer ${node.key}\r\nContent-Length: 0\r\n\r\n`;
  t.equal(outcome(await raw(t, node, `POST /upload HTTP/1.1\r\n${key}`)), '400 bad-request');
  t.equal(outcome(await raw(t, node, `POST /upload HTTP/1.1\r\nHost: a\r\nHost: b\r\n${key}`)), '400 bad-request');
  t.equal(outcome(await raw(t, node, `POST /upload HTTP/1.0\r\n${key}`)), '201', 'HTTP/1.0 has none');
});

t.test('huge queries and headers are taken or refused, and break nothing', async (t) => {
  const found = [
    outcome(await raw(t, node, head(node, `POST /upload?x=${'y'.repeat(7000)}`, { 'Content-Length': 0 }))),
    outcome(await raw(t, node, head(node, `POST /upload?${'&'.repeat(5000)}ext=jpg`, { 'Content-Length': 0 }))),
    outcome(await raw(t, node, head(node, `POST /upload?ext=${'x'.repeat(7000)}`, { 'Content-Length': 0 }))),
    outcome(await raw(t, node, head(node, `POST /upload?${'ext=a&'.repeat(1000)}`, { 'Content-Length': 0 }))),
    outcome(await raw(t, node, head(node, `GET /${id}?download=${'x'.repeat(7000)}`))),
    outcome(await raw(t, node, head(node, `GET /healthz`, { 'X-Long': 'x'.repeat(40_000) }))),
    // More than Node's default limit, and as much as nginx accepts. Seen to fail (431) without maxHeaderSize in either
    // server.
    outcome(
      await raw(t, node, head(node, `GET /readyz`, { A: 'x'.repeat(7000), B: 'x'.repeat(7000), C: 'x'.repeat(7000) })),
    ),
    (
      await node.request('/status', {
        method: 'GET',
        origin: `http://127.0.0.1:${node.daemonPort}`,
        headers: node.authorized({ a: 'x'.repeat(30_000) }),
      })
    ).status,
  ];
  t.strictSame(found, [
    '201',
    '201',
    '400 bad-extension',
    '400 bad-request',
    '200',
    '431 headers-too-large',
    '200',
    200,
  ]);
});

t.test('both Content-Length and Transfer-Encoding, and lengths that are none, are 400', async (t) => {
  const before = filesOn(node.storePath).length;
  const post = (headers: Record<string, string | number>, ...body: (string | Buffer)[]) =>
    raw(t, node, head(node, 'POST /upload', headers), ...body);
  const found = [
    outcome(await post({ 'Content-Length': 3, 'Transfer-Encoding': 'chunked' }, '3\r\nabc\r\n0\r\n\r\n')),
    outcome(await post({ 'Transfer-Encoding': 'chunked', 'transfer-encoding': 'chunked' }, '0\r\n\r\n')),
    outcome(await post({ 'Transfer-Encoding': 'gzip, chunked' }, '0\r\n\r\n')),
    outcome(await post({ 'Content-Length': 1, 'content-length': 2 }, 'ab')),
    outcome(await post({ 'Content-Length': '-1' }, 'ab')),
    outcome(await post({ 'Content-Length': '1e3' }, 'ab')),
    outcome(await post({ 'Content-Length': '9'.repeat(30) }, 'ab')),
    outcome(await post({ 'Transfer-Encoding': 'chunked' }, 'zz\r\nabc\r\n0\r\n\r\n')),
    outcome(await post({ 'Transfer-Encoding': 'chunked' }, '-3\r\nabc\r\n0\r\n\r\n')),
  ];
  t.strictSame(found, new Array(found.length).fill('400 bad-request'));
  t.equal(filesOn(node.storePath).length, before);
});

t.test('what comes after the announced length is not the file', async (t) => {
  const answer = await raw(t, node, head(node, 'POST /upload', { 'Content-Length': 3 }), 'abcdefgh');
  t.match(answer.body, '"size":3,');
});

// Seen to fail without the comparison with the limit in readBody (not announced) and in receiveRaw (announced).
t.test('a body larger than maxFileSize is 413, announced or not, and nothing is kept', async (t) => {
  const before = filesOn(node.storePath).length;
  const over = Buffer.alloc(MIB + 1);
  const boundary = MULTIPART['content-type'].split('boundary=')[1];
  const form = (content: Buffer) =>
    Buffer.concat([
      Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name=a; filename=small\r\n\r\nx\r\n`),
      Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name=b; filename=large\r\n\r\n`),
      content,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]);
  const stream = (body: Buffer) => Readable.from([body], { objectMode: false });
  const found: string[] = [];
  for (const size of [MIB + 1, 30 * MIB]) {
    const body = Buffer.alloc(size);
    found.push(outcome(await node.post(body)));
    found.push(outcome(await node.post(stream(body))));
    found.push(outcome(await node.post(form(body), '', MULTIPART)));
    found.push(outcome(await node.post(stream(form(body)), '', MULTIPART)));
  }
  found.push(outcome(await raw(t, node, head(node, 'POST /upload', { 'Content-Length': 2 ** 60 }))));
  found.push(
    outcome(await raw(t, node, head(node, 'POST /upload', { 'Transfer-Encoding': 'chunked' }), chunk(over), chunk(''))),
  );
  t.strictSame(found, new Array(found.length).fill('413 too-large'));
  t.equal(filesOn(node.storePath).length, before);
  const fits = Buffer.alloc(MIB);
  t.strictSame(
    [
      outcome(await node.post(fits)),
      outcome(await node.post(stream(fits))),
      outcome(await node.post(form(fits), '', MULTIPART)),
    ],
    ['201', '201', '201'],
    'a file of exactly maxFileSize is taken',
  );
});

// Seen to fail (no second answer in some of the rounds) without restOfBody in server.ts.
t.test('a client whose body was refused goes on with its connection', async (t) => {
  const body = Buffer.alloc(8 * MIB);
  // Not a wrong key, after twenty of which the answer would be 429.
  for (const headers of [{}, { Authorization: 'Basic d3Jvbmc6' }]) {
    const found: string[] = [];
    for (let round = 0; round < 20; round++) {
      const connection = await RawConnection.open(t, node);
      connection.write(head(node, 'POST /upload', { ...headers, 'Content-Length': body.length }), body);
      connection.write(head(node, 'GET /healthz'));
      const text = await connection.until((received, ended) => ended || received.endsWith('ok\n'));
      found.push([...text.matchAll(/HTTP\/1.1 (\d+)/g)].map(([, status]) => status).join(' '));
      connection.destroy();
    }
    t.strictSame([...new Set(found)], ['Authorization' in headers ? '401 200' : '413 200']);
  }
});

// Seen to fail (a temporary stays) without file.discard() in receiveRaw.
t.test('a client that goes away half way leaves nothing', async (t) => {
  const before = filesOn(node.storePath).length;
  const sent = Buffer.alloc(700_000);
  const starts: [headers: Record<string, string | number>, body: Buffer][] = [
    [{ 'Content-Length': MIB }, sent],
    [{ 'Transfer-Encoding': 'chunked' }, chunk(sent)],
    [{ 'Content-Length': 1000 }, sent.subarray(0, 10)],
    [{ ...MULTIPART, 'Content-Length': MIB }, multipartStart(sent)],
    [{ ...MULTIPART, 'Transfer-Encoding': 'chunked' }, chunk(multipartStart(sent))],
  ];
  for (const [headers, body] of starts) {
    const connection = await RawConnection.open(t, node);
    connection.write(head(node, 'POST /upload', headers), body);
    if (body.length > 500_000)
      await node.until(() => filesOn(node.storePath).length > before, 'on its way to the disk');
    connection.destroy();
    await node.until(() => filesOn(node.storePath).length === before, 'without a trace of it');
  }
  t.equal(outcome(await node.post(Buffer.from('x'))), '201');
});

function multipartStart(content: Buffer): Buffer {
  const boundary = MULTIPART['content-type'].split('boundary=')[1];
  const start = `--${boundary}\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n`;
  return Buffer.concat([Buffer.from(start), content]);
}

t.test('and afterwards the daemon lives and nothing is wrong on the disk', async (t) => {
  t.equal(node.daemonPid(), pid);
  await node.assertClean(t);
});
