import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { assertProblem, problemOf } from '../helpers/assert-problem.js';
import { listen } from '../helpers/fake-peer.js';
import { TestNode } from '../helpers/node.js';

const NAME = 'M00/00/00/CkIAAWsCiLOAAlsdAAAD6HTj-0E952.txt';
const ID = `group2/${NAME}`;
const content = Buffer.from('a file of the old group');

/** Answers as FastDFS's nginx module does: ranges, If-Modified-Since by the exact string. */
const serve: RequestListener = (request, response) => {
  const modified = 'Sun, 22 Nov 2026 06:16:19 GMT';
  if (request.headers['if-modified-since'] === modified) return void response.writeHead(304).end();
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  const headers = { 'content-type': 'text/plain', 'last-modified': modified, 'accept-ranges': 'bytes' };
  if (from === undefined) return void response.writeHead(200, headers).end(content);
  const range = `bytes ${from}-${to}/${content.length}`;
  response.writeHead(206, { ...headers, 'content-range': range });
  response.end(content.subarray(Number(from), Number(to) + 1));
};

t.test('reads of a group in `legacy` are passed to its old web server', async (t) => {
  const requests: IncomingMessage[] = [];
  let answer: (request: IncomingMessage, response: ServerResponse) => void = serve;
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  const port = await listen(t, server);
  const node = await TestNode.start(t, { env: { FIDFS_LEGACY: `group2=http://127.0.0.1:${port}` } });
  const last = () => requests.at(-1) as IncomingMessage;
  /** The answer of the node when the old web server answers with this status and these headers. */
  const answered = (status: number, headers: Record<string, string> = {}) => {
    answer = (_request, response) => response.writeHead(status, headers).end('FastDFS');
    return node.get(ID);
  };

  // Seen to fail without each header in the list of conditions.
  t.test('whole and in part, with conditions and without the name of the store path', async (t) => {
    answer = serve;
    const whole = await node.get(ID);
    t.strictSame([whole.status, whole.body], [200, content]);
    const modified = String(whole.headers['last-modified']);
    t.equal((await node.get(ID, { 'if-modified-since': modified })).status, 304);
    const part = await node.get(ID, { range: 'bytes=2-5' });
    t.strictSame([part.status, part.body.toString(), part.headers['content-range']], [206, 'file', 'bytes 2-5/23']);
    t.equal((await node.request(`/${ID}`, { method: 'HEAD' })).status, 200);
    t.equal(last().method, 'HEAD');
    t.equal((await node.get(ID.replace('M00/', ''))).status, 200);
    t.equal(last().url, `/${ID.replace('M00/', '')}`, 'as it is: its token is that of this name');
    const conditions = {
      'if-match': '"a"',
      'if-none-match': '"b"',
      'if-range': '"c"',
      'if-unmodified-since': modified,
    };
    await node.get(ID, conditions);
    t.match(last().headers, conditions);
  });

  // Seen to fail with proxy_pass_request_headers on, and with $is_args$args.
  t.test('nothing of the client goes there but that', async (t) => {
    answer = serve;
    const secret = { authorization: `Bearer ${node.key}`, cookie: 'session=1', referer: 'http://x/', 'x-any': '1' };
    const { status, headers } = await node.get(`${ID}?token=abc&ts=5&filename=a%0d%0aX-Evil:1.txt&redirect=1`, secret);
    t.equal(status, 200);
    t.match(headers['content-disposition'], /^attachment; filename="aX-Evil:1\.txt"/, 'the name is made here');
    t.equal(headers['x-evil'], undefined);
    t.equal(last().url, `/${ID}?token=abc&ts=5`);
    t.strictSame(Object.keys(last().headers).sort(), ['host', 'user-agent', 'x-fidfs-legacy']);
    t.equal(last().headers.host, `127.0.0.1:${port}`);
  });

  // Seen to fail without proxy_hide_header and without the disposition.
  t.test('what it sends cannot act for this address', async (t) => {
    const { headers } = await answered(200, {
      'set-cookie': 'a=b',
      'content-type': 'text/html',
      'x-accel-redirect': '/',
    });
    t.equal(headers['set-cookie'], undefined);
    t.equal(headers['content-disposition'], 'attachment', 'HTML is not shown');
    t.equal(headers['x-content-type-options'], 'nosniff');
  });

  // Seen to fail without proxy_intercept_errors, without 410 and 401 there, and (redirects) with UNAVAILABLE from 400 on.
  t.test('its errors are problem documents, and its redirects lead nowhere', async (t) => {
    const missing = await answered(404);
    assertProblem(t, missing, 404, 'not-found', 'missing');
    assertProblem(t, await answered(410), 404, 'not-found', 'gone');
    assertProblem(t, await answered(400), 400, 'bad-request', 'without a token');
    assertProblem(t, await answered(403), 403, 'forbidden', 'with a wrong one');
    assertProblem(t, await answered(401), 403, 'forbidden', 'another way to say so');
    assertProblem(t, await answered(416), 416, 'range-not-satisfiable', 'range');
    for (const status of [301, 302, 307, 308]) {
      const redirected = await answered(status, { location: 'http://10.0.0.3/secret' });
      assertProblem(t, redirected, 503, 'unavailable', `redirect ${status}`);
      t.equal(redirected.headers.location, undefined);
    }
    for (const status of [500, 502, 503, 418]) {
      const failed = await answered(status);
      assertProblem(t, failed, 503, 'unavailable', String(status));
      t.equal(failed.headers['retry-after'], '5');
      t.match(problemOf(failed).detail, 'FastDFS');
    }
  });

  // Seen to fail without the pattern of names, and without (?<!-m) in it.
  t.test('only files are asked for, and only to be read', async (t) => {
    const before = requests.length;
    const wrong = [`${ID}-m`, `${ID}%0a`, 'group2/', 'group2/x', 'group2/M00/../../group1/x', `group2/M00/00/00/a%20b`];
    for (const path of [...wrong, `group2/M00/00/00/a%0d%0aX:1`, `group2/data/${NAME}`, 'group2/status']) {
      assertProblem(t, await node.get(path), 404, 'not-found', path);
    }
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'] as const) {
      const answer = await node.request(`/${ID}`, { method, headers: node.authorized(), body: 'x' });
      assertProblem(t, answer, 405, 'method-not-allowed', method);
    }
    const looping = await node.get(ID, { 'x-fidfs-legacy': '1' });
    assertProblem(t, looping, 503, 'unavailable', 'two nodes that take each other for FastDFS');
    t.equal(requests.length, before, 'the old web server heard of none of these');
  });

  t.test('no upload goes there', async (t) => {
    assertProblem(t, await node.post(Buffer.from('x'), '?group=group2'), 400, 'no-such-group', 'asked for');
    for (let number = 0; number < 20; number++) {
      t.match((await node.upload(Buffer.from(`upload ${number}`))).id, /^group1\//);
    }
    t.equal((await node.get('/readyz')).status, 200);
    const { status, stderr } = await node.command('status');
    t.equal(status, 0, stderr);
  });

  // Seen to fail (502) without 502 and 504 in UNAVAILABLE.
  t.test('without an answer it is 503, and the own group goes on', async (t) => {
    const { id } = await node.upload(Buffer.from('own'));
    answer = (request) => request.socket.destroy();
    assertProblem(t, await node.get(ID), 503, 'unavailable', 'the connection is closed');
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
    assertProblem(t, await node.get(ID), 503, 'unavailable', 'nobody listens');
    t.equal((await node.get(id)).status, 200);
  });
});

t.test('with fastdfsTokenKey the token is checked here, and there once more', async (t) => {
  const requests: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url);
    serve(request, response);
  });
  const port = await listen(t, server);
  const key = 'FastDFS1234567890';
  const node = await TestNode.start(t, {
    env: { FIDFS_LEGACY: `group2=http://127.0.0.1:${port}`, FIDFS_FASTDFS_TOKEN_KEY: key },
  });
  // Seen to fail without tokenGuard in groupLocation.
  t.equal((await node.get(ID)).status, 400);
  t.equal((await node.get(`${ID}?token=${'0'.repeat(32)}&ts=0`)).status, 400);
  t.strictSame(requests, []);
  const token = createHash('md5').update(`${NAME}${key}0`).digest('hex');
  const { status, headers } = await node.get(`${ID}?token=${token}&ts=0`);
  t.strictSame([status, headers['cache-control']], [200, 'private']);
  t.strictSame(requests, [`/${ID}?token=${token}&ts=0`]);
  await node.get('/healthz?the-last');
  const log = () => readFileSync(join(node.data, 'log/access.log'), 'utf8');
  await node.until(() => log().includes('the-last'), 'the access log is written');
  t.notOk(log().includes(token));
});

t.test('a group of the cluster itself is no legacy group', async (t) => {
  const node = await TestNode.create(t, { env: { FIDFS_LEGACY: 'group1=http://127.0.0.1:1' } });
  const { status, stderr } = await node.command('status');
  t.equal(status, 2);
  t.match(stderr, 'legacy: group1 is a group of this cluster');
});
