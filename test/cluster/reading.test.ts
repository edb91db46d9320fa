import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import fileId from '../../file-id/file-id.js';
import { assertProblem } from '../helpers/assert-problem.js';
import { startCluster } from '../helpers/cluster.js';
import type { Answer, TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';
import { killDaemonForGood, madeUpId, markOf, PEER_SECRET, tell } from '../helpers/readers.js';

/** The part of a response that must be equal on all nodes: without the date, the connection, and nginx's boundary counter. */
function comparable({ status, headers, body }: Answer): unknown {
  const { date: _date, connection: _connection, 'keep-alive': _keepAlive, ...unsorted } = headers;
  const rest = Object.fromEntries(Object.entries(unsorted).sort(([one], [other]) => (one < other ? -1 : 1)));
  const boundary = /boundary=(\d+)/.exec(String(rest['content-type']))?.[1];
  const text = body.toString('latin1');
  if (boundary === undefined) return { status, headers: rest, text };
  const type = String(rest['content-type']).replace(boundary, 'B');
  return { status, headers: { ...rest, 'content-type': type }, text: text.replaceAll(boundary, 'B') };
}

interface LogLine {
  method: string;
  status: number;
  uri: string;
  userAgent: string;
}

/** The lines of a node's access log about a file. Waits for the line of a later request, which follows all earlier ones. */
async function logged(node: TestNode, id: string): Promise<LogLine[]> {
  const log = () => readFileSync(join(node.data, 'log', 'access.log'), 'utf8');
  const last = `/${Math.random()}`;
  await node.get(last);
  await node.until(() => log().includes(last), 'logged');
  const lines = log()
    .split('\n')
    .filter((line) => line.includes(id));
  return lines.map((line) => JSON.parse(line));
}

/** Like `logged`, as texts such as `GET 404`. */
async function answered(node: TestNode, id: string): Promise<string[]> {
  return (await logged(node, id)).map(({ method, status }) => `${method} ${status}`);
}

/** Writes a file to its location on a node. */
function place(node: TestNode, id: string, content: Buffer): void {
  const path = join(node.storePath, 'data', id.split('/').slice(2).join('/'));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

t.test('any node serves any ID', async (t) => {
  const random = seeded(t);
  // The server ids are 1 to 4.
  const groups = ['group1', 'group1', 'group1', 'group2'];
  const nodes = await startCluster(t, { groups, env: { FIDFS_PEER_SECRET: PEER_SECRET, FIDFS_COPIES: '1' } });
  const [source, reader, third, other] = nodes as [TestNode, TestNode, TestNode, TestNode];
  // The subtests need only nginx, and daemons would copy the files to the reader's own disk.
  for (const node of [reader, third]) {
    await killDaemonForGood(t, node);
    const all = nodes.map(({ origin }, index) => ({ id: index + 1, group: groups[index] as string, url: origin }));
    tell(
      node,
      all.filter(({ url }) => url !== node.origin),
    );
  }
  const content = random.bytes(100_000);
  const { id } = await source.upload(content, '?group=group1&ext=jpg');
  const { id: small } = await source.upload(Buffer.from('0123456789'), '?group=group1&ext=txt');
  const { id: page } = await source.upload(Buffer.from('<script>alert(1)</script>'), '?group=group1&ext=html');
  const { id: empty } = await source.upload(Buffer.alloc(0), '?group=group1');
  const { id: foreign } = await other.upload(content, '?group=group2&ext=jpg');

  const dateOf = (seconds: number) => new Date((fileId.decode(id).created + seconds) * 1000).toUTCString();
  const etag = '"386d4380-186a0"';
  const requests: [query: string, headers: Record<string, string>][] = [
    ['', {}],
    ['', { range: 'bytes=0-0' }],
    ['', { range: 'bytes=99990-200000' }],
    ['', { range: 'bytes=-7' }],
    ['', { range: 'bytes=0-9,500-599,-5' }],
    ['', { range: 'bytes=100000-' }],
    ['', { range: 'lines=1-2' }],
    ['', { 'if-none-match': etag }],
    ['', { 'if-none-match': '"other"' }],
    ['', { 'if-match': '"other"' }],
    ['', { 'if-match': etag, range: 'bytes=2-4' }],
    ['', { 'if-range': etag, range: 'bytes=2-4' }],
    ['', { 'if-range': '"other"', range: 'bytes=2-4' }],
    ['', { 'if-range': dateOf(0), range: 'bytes=2-4' }],
    ['', { 'if-modified-since': dateOf(-1) }],
    ['', { 'if-modified-since': dateOf(0) }],
    ['', { 'if-modified-since': dateOf(86_400), range: 'bytes=2-4' }],
    ['', { 'if-unmodified-since': dateOf(-1) }],
    ['', { 'if-unmodified-since': dateOf(0) }],
    ['?download=', {}],
    ['?download=caf%C3%A9+%22x%22.jpg', {}],
    ['?filename=a.jpg&other=x', { range: 'bytes=5-9' }],
    ['?download=a.jpg', { 'if-modified-since': dateOf(-1) }],
    ['?download=a.jpg', { 'if-modified-since': dateOf(0) }],
    ['?download=%0a', {}],
    ['?filename=caf%E9', { 'if-modified-since': dateOf(-1) }],
  ];

  /** Sends all requests for a file to two nodes, and lists the differences. */
  const differences = async (one: TestNode, another: TestNode, file: string) => {
    const wrong: unknown[] = [];
    const seen = new Set<number>();
    for (const [query, headers] of requests) {
      for (const method of ['GET', 'HEAD'] as const) {
        const [here, there] = await Promise.all(
          [one, another].map((node) => node.request(`/${file}${query}`, { method, headers })),
        );
        if (!here || !there) continue;
        seen.add(here.status);
        const same = JSON.stringify(comparable(here)) === JSON.stringify(comparable(there));
        const both = { here: [here.status, here.headers], there: [there.status, there.headers] };
        if (!same) wrong.push({ method, query, headers, ...both });
      }
    }
    return { wrong, seen: [...seen].sort() };
  };

  // Seen to fail when the group's 404 has the error page of a node without peers; without each of the conditional headers in
  // `passing`; without $args; without $fidfs_uri (names, dates); with 416 among the intercepted statuses.
  t.test('a file that only the source has is answered by another node as by the source, in all respects', async (t) => {
    const statuses = [200, 206, 304, 412, 416];
    t.strictSame(await differences(source, reader, id), { wrong: [], seen: statuses });
    for (const file of [small, page, empty]) t.strictSame((await differences(source, reader, file)).wrong, [], file);
    t.ok((await reader.get(id)).body.equals(content), 'the bytes are those that were uploaded');
  });

  // Seen to fail without the locations of other groups (404), and (400) without `refused` in them.
  t.test('a file of another group is too', async (t) => {
    const statuses = [200, 206, 304, 412, 416];
    t.strictSame(await differences(other, reader, foreign), { wrong: [], seen: statuses });
    await other.until(async () => (await other.get(small)).status === 200, 'told by its daemon that the source is up');
    t.strictSame((await differences(source, other, small)).wrong, [], 'the other way round');
  });

  // Seen to fail (405, from the third) without the check of the method in @fidfs_elsewhere, and (404) without that in the
  // locations of other groups.
  t.test('other methods do what they did', async (t) => {
    for (const method of ['POST', 'PUT', 'PATCH'] as const) {
      const unknown = await other.request(`/${madeUpId()}`, { method, body: 'x' });
      assertProblem(t, unknown, 405, 'method-not-allowed', `${method} of a file of another group`);
    }
    const held = madeUpId({ source: 3, counter: 600 });
    place(third, held, Buffer.from('held by the third'));
    assertProblem(t, await reader.request(`/${held}`, { method: 'POST' }), 404, 'not-found', 'POST, own group');
    assertProblem(t, await source.request(`/${foreign}`, { method: 'DELETE' }), 401, 'no-key', 'DELETE, other group');
    assertProblem(t, await reader.delete(id), 503, 'unavailable', 'DELETE goes to the daemon, which is dead here');
  });

  // Seen to fail (503, with more requests on each node) without the check of the mark in firstStep, and when only the source
  // is asked.
  t.test('what no node has is 404, after at most one hop', async (t) => {
    const unknown = madeUpId({ counter: 1 });
    assertProblem(t, await reader.get(unknown), 404, 'not-found', 'unknown');
    t.strictSame(await answered(reader, unknown), ['GET 404']);
    t.strictSame(await answered(source, unknown), ['GET 404'], 'the source is asked first');
    t.strictSame(await answered(third, unknown), ['HEAD 404']);
    t.strictSame(await answered(other, unknown), [], 'another group is not asked');

    const elsewhere = madeUpId({ group: 'group2', source: 4, counter: 2 });
    assertProblem(t, await reader.get(elsewhere), 404, 'not-found', 'unknown in another group');
    t.strictSame(await answered(other, elsewhere), ['GET 404']);
    t.strictSame(await answered(source, elsewhere), []);
  });

  // Seen to fail when only the source is asked.
  t.test('whoever the source was, the nodes of the group are asked', async (t) => {
    const sources = { 'the reader itself': 2, 'a node of another group': 4, 'a node that nobody knows': 99 };
    for (const [what, number] of Object.entries(sources)) {
      const file = madeUpId({ source: number, size: 1000, counter: number });
      place(third, file, Buffer.from(`held by the third: ${what}`));
      t.equal((await reader.get(file)).body.toString(), `held by the third: ${what}`);
      t.equal((await reader.get(`${file}?download=x`)).status, 200);
      assertProblem(t, await reader.get(madeUpId({ source: number, counter: 500 })), 404, 'not-found', what);
    }
    const byAddress = 'group1/M00/00/01/CkIAAWsCiLOAAlsdAAAD6HTj-0E952.txt';
    place(third, byAddress, Buffer.from('of an old cluster'));
    t.equal((await reader.get(byAddress)).body.toString(), 'of an old cluster');
  });

  // Seen to fail when every path that the nested locations do not match gets the group's 404.
  t.test('a store path that is not here may be with the others', async (t) => {
    const file = madeUpId({ counter: 77 }).replace('/M00/', '/M05/');
    assertProblem(t, await reader.get(file), 404, 'not-found', 'M05');
    t.strictSame(await answered(source, file), ['GET 404'], 'the source was asked');
  });

  // Seen to fail with $request_uri in proxy_pass.
  t.test('odd spellings are answered as for files that are here, and passed on in one form', async (t) => {
    const spellings = [
      `//${small}`,
      `/./${small}`,
      `/x/../${small}`,
      `/${small.replaceAll('/', '//')}`,
      `/${small.replace('.txt', '%2Etxt')}`,
      `/${small.replace('M00', '%4d00')}`,
      `/${small}?`,
      `/${small}#x`,
    ];
    for (const path of spellings) {
      t.strictSame(comparable(await reader.get(path)), comparable(await source.get(path)), path);
    }
    const name = small.slice(small.lastIndexOf('/') + 1, -4);
    const passedOn = (await logged(source, name)).filter(({ userAgent }) => userAgent === 'fidfs (node 2)');
    const uris = new Set(passedOn.map(({ uri }) => uri.split('?')[0]));
    t.strictSame([...uris], [`/${small}`]);

    const wrong = [
      `/${small}/`,
      `/${small}/x`,
      `/${small}%00`,
      `/${small} x`.replace(' ', '%20'),
      `/${small}%0d%0aX:1`,
      `/${small}%3Fdownload=x`,
      `/${small}-m`,
      `/${small.toLowerCase()}`,
      `/group1/${small}`,
      `/group1/M00/00/00/../../../${small}/../x`,
      '/group1/M00/00/0A/CkIAA2sCiLOIOO1uAAAD6HTj-0EAAAAAQADMQAAAAQA816.jpg', // trunk
      '/group2/',
      '/group2/x',
    ];
    for (const path of wrong) t.equal((await reader.get(path)).status >= 400, true, path);
    for (const path of wrong.filter((one) => !one.includes('%00'))) {
      assertProblem(t, await reader.get(path), 404, 'not-found', path);
    }
    assertProblem(t, await reader.get(small.replace('group1', 'group9')), 404, 'not-found', 'a group that nobody has');
  });

  // Seen to fail when the path without /.fidfs/more is decoded as an ID, without `internal` (ask), and (404) without the
  // location for peers.
  t.test('no client reaches what lies under /.fidfs/ but the daemon', async (t) => {
    const paths = [
      `/.fidfs/more/${id}`,
      `/.fidfs/dated/${id}`,
      `/.fidfs/ask?origin=${source.origin}`,
      '/.fidfs/cluster.json',
      '/.fidfs/',
    ];
    for (const path of paths) assertProblem(t, await reader.get(path), 404, 'not-found', path);
    // Requests to the daemon, which runs only on the source.
    assertProblem(t, await reader.get('/.fidfs/peer/x'), 503, 'unavailable', 'peer, without a daemon');
    assertProblem(t, await reader.request('/.fidfs/peer/x', { method: 'POST', body: 'x' }), 503, 'unavailable', 'POST');
    t.not((await source.get('/.fidfs/peer/x')).status, 503, 'peer, with a daemon');
  });

  // Seen to fail (200) without the check of the mark, and (404) when only its format is checked.
  t.test('a mark that is authentic is heeded, another is as none', async (t) => {
    assertProblem(t, await reader.get(id, { 'x-fidfs-peer': markOf(id, 1, 2) }), 404, 'not-found', 'marked');
    const query = `${id}?download=x`;
    assertProblem(t, await reader.get(query, { 'x-fidfs-peer': markOf(id, 3, 2) }), 404, 'not-found', 'with a name');
    t.equal((await source.get(id, { 'x-fidfs-peer': markOf(id, 2, 1) })).status, 200, 'what is here is sent');
    const marked = markOf(foreign, 1, 2);
    assertProblem(t, await reader.get(foreign, { 'x-fidfs-peer': marked }), 404, 'not-found', 'another group');
    const right = markOf(id, 1, 2);
    const forged = [
      markOf(small, 1, 2),
      markOf(id, 1, 2, 'another-secret-0123456789'),
      markOf(id, 1, 77),
      right.replace('1 ', '3 '),
      right.slice(0, -1),
      `${right}0`,
      right.toUpperCase(),
      `${right}, ${right}`,
      '1',
      'x',
      ` ${'0'.repeat(64)}`,
    ];
    for (const mark of forged) t.equal((await reader.get(id, { 'x-fidfs-peer': mark })).status, 200, mark);
  });

  // Seen to fail (200) when `known` contains only this node, which ignores marks for others.
  t.test('what is meant for another node has come by a wrong url: it is not passed on', async (t) => {
    const answer = await reader.get(id, { 'x-fidfs-peer': markOf(id, 1, 3) });
    assertProblem(t, answer, 503, 'unavailable', 'meant for the third');
    await reader.until(() => /sent here what is for node 3/.test(reader.log), 'logged');
  });

  // Seen to fail without the file mode in writeIncludes().
  t.test('what marks are made with is for nginx alone', async (t) => {
    const key = /readKey\\?":\\?"([0-9a-f]{64})/.exec(
      readFileSync(join(reader.data, 'nginx', 'fidfs-server.conf'), 'utf8'),
    );
    t.ok(key, 'it is in the include for server');
    t.equal(statSync(join(reader.data, 'nginx', 'fidfs-server.conf')).mode & 0o777, 0o600);
    for (const file of ['nginx/fidfs-http.conf', 'nginx/nginx.conf', 'log/access.log']) {
      t.notOk(readFileSync(join(reader.data, file), 'utf8').includes(key?.[1] as string), file);
    }
    t.notOk(reader.log.includes(key?.[1] as string), 'the error log');
  });

  t.test('a source that comes back is asked again at once', async (t) => {
    t.equal((await reader.get(id)).status, 200);
    await source.stop();
    assertProblem(t, await reader.get(id), 503, 'unavailable', 'the source has just stopped');
    await source.start();
    t.ok((await reader.get(id)).body.equals(content));
  });
});
