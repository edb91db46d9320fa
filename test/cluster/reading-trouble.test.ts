import { readdirSync } from 'node:fs';
import type { RequestListener, ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { Agent, request } from 'undici';
import { assertProblem } from '../helpers/assert-problem.js';
import { assertUnavailable, FakePeer, listen, startReader, timed } from '../helpers/fake-peer.js';
import { freePort } from '../helpers/ports.js';
import { head, RawConnection } from '../helpers/raw.js';
import { madeUpId, markOf, type Other, tell, writeCluster } from '../helpers/readers.js';

t.test('peers in trouble', async (t) => {
  const one = await FakePeer.start(t, 1);
  const two = await FakePeer.start(t, 2);
  const three = await FakePeer.start(t, 3);
  const four = await FakePeer.start(t, 4, 'group2');
  // `dead`: nothing listens on the port. `silent`: accepts connections and never answers.
  const dead: Other = { id: 5, group: 'group3', url: `http://127.0.0.1:${await freePort()}` };
  const silentPort = await listen(t, createServer());
  const silent: Other = { id: 6, group: 'group4', url: `http://127.0.0.1:${silentPort}` };
  const alive: Other = { ...four.other, id: 7, group: 'group4' };
  const named: Other = { id: 8, group: 'group5', url: 'http://peer.example.test', origin: four.other.url };
  const all = [one.other, two.other, three.other, four.other, dead, silent, alive, named];
  const reader = await startReader(t, all);
  const group1 = [one, two, three];

  t.beforeEach(() => {
    tell(reader, all);
    for (const peer of [...group1, four]) {
      peer.requests.length = 0;
      peer.answer = (_request, response) => response.writeHead(404).end();
    }
  });

  // Seen to fail with the client's headers forwarded, and with another message in the HMAC.
  t.test('a peer gets the conditions, the arguments and our mark, and nothing else of the client', async (t) => {
    const id = madeUpId({ group: 'group5', source: 8 });
    const forged = `9 ${'0'.repeat(64)}`;
    const secrets = { authorization: 'Bearer secret-of-the-client', cookie: 'session=1', 'x-fidfs-peer': forged };
    const headers = { ...secrets, range: 'bytes=0-1', 'if-range': '"x"', accept: 'text/html', 'x-other': 'y' };
    await reader.get(`${id}?download=a%20b&x=/../%3F`, headers);
    const [asked] = four.requests;
    t.equal(asked?.url, `/${id}?download=a%20b&x=/../%3F`);
    t.strictSame(asked?.headers, {
      host: 'peer.example.test',
      'user-agent': 'fidfs (node 9)',
      'x-fidfs-peer': markOf(id, 9, 8),
      range: 'bytes=0-1',
      'if-range': '"x"',
    });
    // A subrequest has the headers of the client's request.
    const unknown = madeUpId({ source: 2, counter: 1 });
    await reader.get(unknown, headers);
    for (const peer of group1) {
      const mark = peer.requests[0]?.headers['x-fidfs-peer'];
      t.equal(mark, markOf(unknown, 9, peer.id), `the mark for ${peer.id}`);
    }
    t.strictSame(one.requests[0]?.headers, {
      host: `127.0.0.1:${one.port}`,
      'user-agent': 'fidfs (node 9)',
      'x-fidfs-peer': markOf(unknown, 9, 1),
    });
  });

  // Seen to fail when peers are asked in the order of the settings.
  t.test('the source is asked first, then all others at once, and one that has the file answers', async (t) => {
    const id = madeUpId({ source: 2, counter: 2 });
    two.hold('from the source');
    t.equal((await reader.get(id)).body.toString(), 'from the source');
    t.strictSame(
      group1.map((peer) => peer.asked(id)),
      [[], ['GET'], []],
    );

    const other = madeUpId({ source: 2, counter: 3 });
    two.answer = (_request, response) => response.writeHead(404).end();
    three.hold('from the third');
    // The first answers only after the third has been asked.
    let release = () => {};
    const askedThree = new Promise<void>((done) => {
      release = done;
    });
    one.answer = (_request, response) => void askedThree.then(() => response.writeHead(404).end());
    const { answer } = three;
    three.answer = (asked, response) => {
      release();
      answer(asked, response);
    };
    t.equal((await reader.get(other)).body.toString(), 'from the third');
    t.strictSame(
      group1.map((peer) => peer.asked(other)),
      [['HEAD'], ['GET'], ['HEAD', 'GET']],
    );
    const headOf = await reader.request(`/${madeUpId({ source: 1, counter: 4 })}`, { method: 'HEAD' });
    t.match(headOf, { status: 200, headers: { 'content-length': '14' } }, 'HEAD');
  });

  // Seen to fail (404) with nodes that are down not counted, and (requests) with requests to them.
  t.test('a node that is down makes it 503 where the others have not got the file, and costs nothing', async (t) => {
    const id = madeUpId({ source: 2, counter: 5 });
    tell(reader, [one.other, { ...two.other, up: false }, three.other]);
    assertUnavailable(t, await reader.get(id), 'the source is down');
    t.strictSame(two.requests.length, 0, 'it was not asked');
    three.hold('held by the third');
    t.equal((await reader.get(id)).body.toString(), 'held by the third');
    tell(
      reader,
      group1.map(({ other }) => ({ ...other, up: false })),
    );
    three.requests.length = 0;
    assertUnavailable(t, await reader.get(id), 'all are down');
    assertUnavailable(t, await reader.request(`/${id}`, { method: 'HEAD' }), 'HEAD, all are down');
    t.equal(three.requests.length, 0);
    tell(reader, [one.other, three.other]);
    three.answer = one.answer;
    assertUnavailable(t, await reader.get(id), 'one of the settings is not in the file of its group');
  });

  // Seen to fail (the peer's status) with fewer intercepted statuses, (404) without the check of the first node's status, and
  // without proxy_ignore_headers.
  t.test('what a peer says besides is no answer about the file', async (t) => {
    for (const status of [301, 400, 401, 403, 429, 500, 502, 503, 507, 599]) {
      two.answer = (_request, response) => response.writeHead(status, { location: 'http://x/' }).end('<html>');
      const id = madeUpId({ source: 2, counter: 1000 + status });
      assertUnavailable(t, await reader.get(id), `the source says ${status}`);
      two.answer = (_request, response) => response.writeHead(404).end();
      one.answer = (_request, response) => response.writeHead(status).end();
      assertUnavailable(t, await reader.get(id), `another says ${status}`);
      three.hold('whole');
      t.equal((await reader.get(id)).body.toString(), 'whole', `the third has it, another says ${status}`);
      for (const peer of group1) peer.answer = (_request, response) => response.writeHead(404).end();
    }
    two.answer = (asked, response) => {
      if (asked.method === 'HEAD') response.writeHead(200).end();
      else response.destroy();
    };
    assertUnavailable(t, await reader.get(madeUpId({ source: 1, counter: 6 })), 'says yes, then breaks off');
    one.answer = (_request, response) => {
      response.writeHead(200, { 'x-accel-redirect': '/healthz', 'content-length': 1 }).end('x');
    };
    const steered = await reader.get(madeUpId({ source: 1, counter: 7 }));
    t.equal(steered.body.toString(), 'x', 'a peer does not steer this nginx');
  });

  // Seen to fail (another connection) without `keepalive` in the upstream.
  t.test('connections to peers are kept, and one that is closed just then is opened again', async (t) => {
    two.hold('on a kept connection');
    const ids = [31, 32, 33].map((counter) => madeUpId({ source: 2, counter }));
    for (const id of ids.slice(0, 2)) t.equal((await reader.get(id)).status, 200);
    const [first, second] = two.requests;
    t.equal(second?.socket, first?.socket, 'the second request came on the connection of the first');
    const { answer } = two;
    two.answer = (asked, response) => {
      if (asked.socket === first?.socket) asked.socket.destroy();
      else answer(asked, response);
    };
    t.equal((await reader.get(ids[2] as string)).body.toString(), 'on a kept connection');
    t.equal(two.requests.length, 4);
  });

  // Seen to fail (60 s) with nginx's own proxy_connect_timeout and proxy_read_timeout.
  t.test('a peer that has died, or never answers, costs one timeout at most', async (t) => {
    const [gone, goneSeconds] = await timed(reader.get(madeUpId({ group: 'group3', source: 5 })));
    assertUnavailable(t, gone, 'dead');
    t.ok(goneSeconds < 10, `after ${goneSeconds} s`);
    four.hold('from the living');
    const [asked, unasked] = await Promise.all([
      // The source never answers; the other node is asked next.
      timed(reader.get(madeUpId({ group: 'group4', source: 6 }))),
      // The source does not have the file; the silent node gets a HEAD.
      (async () => {
        const nothing: RequestListener = (_request, response) => response.writeHead(404).end();
        const id = madeUpId({ group: 'group4', source: 7, counter: 9 });
        const { answer } = four;
        four.answer = (request, response) => (request.url?.includes(id) ? nothing : answer)(request, response);
        return timed(reader.get(id));
      })(),
    ]);
    t.equal(asked[0].body.toString(), 'from the living');
    t.ok(asked[1] < 30, `after ${asked[1]} s`);
    assertUnavailable(t, unasked[0], 'one never answers');
    t.ok(unasked[1] < 30, `after ${unasked[1]} s`);
  });

  // Seen to fail (500) without the checks of an entry, and without the catch in readNodes.
  t.test('whatever the file of a group is, hits are served and misses told to come back', async (t) => {
    const broken = [
      '',
      '{',
      'null',
      '[]',
      '{}',
      '{"version":2,"nodes":null}',
      '{"version":2,"nodes":{"2":null}}',
      '{"version":2,"nodes":{"2":{"up":true}}}',
      '{"version":2,"nodes":{"2":{"up":true,"origin":1,"host":2}}}',
    ];
    for (const text of broken) {
      writeCluster(reader, text);
      assertUnavailable(t, await reader.get(madeUpId({ source: 2 })), `the file is ${text}`);
      assertUnavailable(t, await reader.get(madeUpId({ group: 'group2', source: 4 })), `another group: ${text}`);
      const nobodys = await reader.get(madeUpId({ group: 'group77' }));
      assertProblem(t, nobodys, 404, 'not-found', 'a group that nobody has');
    }
    await reader.until(() => /cannot read .*cluster\/group1\.json/.test(reader.log), 'logged');
    // Seen to fail when readCluster() does not read the second copy.
    two.hold('found by the second copy');
    const { id, url } = two.other;
    const good = { [id]: { origin: url, host: url.replace('http://', ''), up: true, well: true } };
    // Seen to fail (found) without isKnown in readNodes.
    writeCluster(reader, JSON.stringify({ version: 3, nodes: good }));
    assertUnavailable(t, await reader.get(madeUpId({ source: 2 })), 'a file of a later version');
    for (const text of ['', '{', 'null', '{}']) {
      writeCluster(reader, text, JSON.stringify({ version: 2, nodes: good }));
      t.equal(
        (await reader.get(madeUpId({ source: 2, counter: 12 }))).body.toString(),
        'found by the second copy',
        text,
      );
    }
  });

  // Seen to fail (other requests wait, too) without limit_conn, and (marked requests are refused) with limit_conn in
  // @fidfs_elsewhere.
  t.test('misses under way at once are limited', async (t) => {
    // The source sends a byte every 500 ms, so that no response times out, until the test ends them all.
    const waiting: ServerResponse[] = [];
    const drops = setInterval(() => waiting.map((response) => response.write('.')), 500);
    t.teardown(() => clearInterval(drops));
    two.answer = (_request, response) => {
      waiting.push(response);
      response.writeHead(200).write('.');
    };
    // 512 requests wait for the source; the other 8 are refused.
    const agent = new Agent({ connections: 600, pipelining: 1 });
    t.teardown(() => agent.destroy());
    let refused = 0;
    const asked = Array.from({ length: 520 }, async (_, number) => {
      const path = `${reader.origin}/${madeUpId({ source: 2, counter: 10_000 + number })}`;
      const { statusCode, headers, body } = await request(path, { dispatcher: agent });
      const text = await body.text();
      if (statusCode === 503 && /Too many/.test(text) && headers['retry-after']) refused += 1;
      return statusCode;
    });
    await reader.until(() => waiting.length === 512 && refused === 8, 'full');
    assertUnavailable(t, await reader.get(madeUpId({ source: 2 })), 'one more');
    const id = madeUpId({ source: 2, counter: 11 });
    const marked = await reader.get(id, { 'x-fidfs-peer': markOf(id, 1, 9) });
    assertProblem(t, marked, 404, 'not-found', 'a peer that asks here waits for nobody');
    t.equal((await reader.get('/healthz')).status, 200);
    clearInterval(drops);
    for (const response of waiting) response.end();
    t.equal((await Promise.all(asked)).filter((status) => status === 200).length, 512);
    two.answer = (_request, response) => response.writeHead(404).end();
    assertProblem(t, await reader.get(madeUpId({ source: 2 })), 404, 'not-found', 'afterwards');
  });

  // Seen to fail (the peer can send all) without proxy_max_temp_file_size 0.
  t.test('a client that stops reading holds up the peer, one that goes away ends it; nothing is spooled', async (t) => {
    let sent = 0;
    const size = 2 ** 30;
    const block = Buffer.alloc(2 ** 20);
    let closed = () => {};
    const ended = new Promise<void>((done) => {
      closed = done;
    });
    let stalled = () => {};
    const isStalled = new Promise<void>((done) => {
      stalled = done;
    });
    two.answer = (_request, response) => {
      response.writeHead(200, { 'content-length': size });
      response.once('close', () => closed());
      let timer: NodeJS.Timeout | undefined;
      const next = () => {
        clearTimeout(timer);
        // Longer than proxy_send_timeout and proxy_read_timeout.
        timer = setTimeout(stalled, 6000);
        sent += block.length;
        if (sent < size && response.writable) response.write(block, next);
      };
      next();
    };
    const connection = await RawConnection.open(t, reader);
    connection.socket.once('data', () => connection.socket.pause());
    connection.write(head(reader, `GET /${madeUpId({ source: 2, size })}`));
    await isStalled;
    t.ok(sent < 64 * 2 ** 20, `the peer could send ${sent} bytes`);
    const spool = join(reader.data, 'nginx', 'tmp', 'proxy');
    t.strictSame(readdirSync(spool, { recursive: true }), [], 'nothing lies in the spool');
    const before = sent;
    connection.socket.resume();
    await reader.until(() => sent > before + 32 * 2 ** 20, 'flowing again');
    connection.destroy();
    await ended;
    t.ok(sent < size, 'the peer was left');
  });
});
