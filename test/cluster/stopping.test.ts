import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { createCluster, holds, ready, startAll } from '../helpers/cluster.js';
import { Load } from '../helpers/load.js';
import { BOUNDARY, multipart } from '../helpers/multipart.js';
import type { TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';
import { type RawAnswer, RawConnection } from '../helpers/raw.js';
import { begin, stateOf } from '../helpers/tus.js';

type Pair = [TestNode, TestNode];
/** Bytes of a body that nginx passes on while it is received. */
const LARGE = 1_000_000;
/** Bytes of a body that nginx buffers before it passes it on. */
const SMALL = 1000;
/** Seconds, longer than the daemon waits for bodies. */
const PATIENCE = 60;

function head(node: TestNode, request: string, headers: Record<string, string | number>): string {
  const all = { Host: 'x', Authorization: `Bearer ${node.key}`, Connection: 'close', ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return `${[`${request} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n`;
}

/** Sends a request with the first `sent` bytes of its body. */
async function half(
  t: Test,
  node: TestNode,
  { request = 'POST /upload', headers = {}, body, sent }: HalfOptions,
): Promise<{ finish(): Promise<RawAnswer>; answer(): Promise<RawAnswer> }> {
  const connection = await RawConnection.open(t, node);
  connection.write(head(node, request, { 'Content-Length': body.length, ...headers }), body.subarray(0, sent));
  return {
    finish: () => {
      connection.write(body.subarray(sent));
      return connection.answer();
    },
    answer: () => connection.answer(),
  };
}

interface HalfOptions {
  request?: string;
  headers?: Record<string, string>;
  body: Buffer;
  sent: number;
}

const idsOf = ({ body }: RawAnswer): string[] => JSON.parse(body).files.map(({ id }: { id: string }) => id);

/**
 * Seen to fail (uploads cut off without a response, after 10 seconds) with an earlier `drain`, which rejected the requests of
 * followers as soon as no upload waited for copies.
 */
t.test('a node that is told to stop answers what is under way, with its copies, and refuses what is new', async (t) => {
  const random = seeded(t);
  const nodes = (await createCluster(t, {
    groups: ['group1', 'group1'],
    env: { FIDFS_COPY_TIMEOUT: `${PATIENCE}s` },
  })) as Pair;
  const [a, b] = nodes;
  await startAll(nodes);
  const { id: known } = await a.upload(random.bytes(10));
  await holds(b, [known]);
  const large = () => random.bytes(LARGE);
  const form = multipart({ fileName: 'a.bin', content: large() }, { fileName: 'b.bin', content: large() });
  const type = { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` };
  const patch = { 'Content-Type': 'application/offset+octet-stream', 'Tus-Resumable': '1.0.0', 'Upload-Offset': '0' };
  const [whole, part] = [await begin(a, LARGE), await begin(a, LARGE)];

  // The other node makes no copies until SIGCONT.
  const stalled = b.daemonPid();
  process.kill(stalled, 'SIGSTOP');
  t.teardown(() => process.kill(b.daemonPid() || stalled, 'SIGCONT'));
  const states = {
    headers: await half(t, a, { body: large(), sent: 0 }),
    middle: await half(t, a, { body: large(), sent: LARGE / 2 }),
    form: await half(t, a, { headers: type, body: form, sent: LARGE * 1.5 }),
    whole: await half(t, a, { body: large(), sent: LARGE }),
    small: await half(t, a, { body: random.bytes(SMALL), sent: SMALL }),
    lastPiece: await half(t, a, { request: `PATCH ${whole}`, headers: patch, body: large(), sent: LARGE }),
    piece: await half(t, a, { request: `PATCH ${part}`, headers: patch, body: large(), sent: LARGE / 2 }),
    deletion: await half(t, a, { request: `DELETE /${known}`, body: Buffer.alloc(0), sent: 0 }),
    never: await half(t, a, { body: large(), sent: LARGE / 2 }),
    neverSmall: await half(t, a, { body: random.bytes(SMALL), sent: SMALL / 2 }),
  };
  // The complete requests wait for copies now, which no event shows.
  await a.until(() => !a.hasFile(known), 'waiting for the others to delete');
  await sleep(1000);

  process.kill(a.pid, 'SIGTERM');
  // Not checked with an upload, because one that arrives before the signal is handled waits for copies.
  const stopping = () => a.get('/readyz').then(({ body }) => body.includes('This node is stopping'));
  await a.until(stopping, 'refusing uploads');
  const answer = await a.post('new');
  t.equal(answer.status, 503, String(answer.body));
  t.ok(Number(answer.headers['retry-after']) > 0, 'says when to try again');
  t.equal((await a.get('/readyz')).status, 503);
  t.equal((await a.get('/healthz')).status, 200, 'it listens, and serves files');
  process.kill(stalled, 'SIGCONT');

  const ids: string[] = [];
  for (const name of ['headers', 'middle', 'form'] as const) {
    const finished = await states[name].finish();
    t.equal(finished.status, 201, `${name}: ${finished.body}`);
    ids.push(...idsOf(finished));
  }
  for (const name of ['whole', 'small'] as const) {
    const finished = await states[name].answer();
    t.equal(finished.status, 201, `${name}: ${finished.body}`);
    ids.push(...idsOf(finished));
  }
  t.equal(ids.length, 6);
  const last = await states.lastPiece.answer();
  t.equal(last.status, 204, last.text);
  ids.push(String(last.headers['fidfs-id']));
  t.equal((await states.deletion.answer()).status, 204);
  for (const name of ['piece', 'never'] as const) {
    const broken = await states[name].answer();
    t.equal(broken.status, 503, `${name}: ${broken.text}`);
    t.ok(Number(broken.headers['retry-after']) > 0);
  }
  // nginx has buffered half of it; the daemon has not received the request.
  t.equal((await states.neverSmall.finish()).status, 503);
  t.equal(await a.ended(), 0);

  for (const id of ids) t.ok(b.hasFile(id), `${id} is on the other node`);
  await a.start();
  await ready(a);
  for (const id of ids) t.equal((await a.get(id)).status, 200);
  t.ok((await stateOf(a, part)).offset > 0, 'what came of a piece can be gone on with');
  t.notMatch(a.log, 'not a clean one');
  await b.assertClean(t);
});

// Seen to fail (uploads without a response, after 10 seconds, in 2 of 3 rounds) as above.
t.test('a stop under load answers every request that was sent before', async (t) => {
  const random = seeded(t);
  const env = { FIDFS_COPY_TIMEOUT: `${PATIENCE}s` };
  const nodes = (await createCluster(t, { groups: ['group1', 'group1', 'group1'], env })) as [TestNode, ...TestNode[]];
  const [a] = nodes;
  await startAll(nodes);
  const load = new Load(a, random, { clients: 24, largest: 3_000_000 });
  for (let round = 0; round < 3; round++) {
    const before = load.count(201);
    load.start();
    await a.until(() => load.count(201) > before + 100, 'under load');
    const started = performance.now();
    process.kill(a.pid, 'SIGTERM');
    await load.stop();
    t.equal(await a.ended(), 0);
    t.comment(`stopped in ${Math.round(performance.now() - started)} ms`);
    t.equal(load.count(0), 0, 'no request was cut off', { breaks: load.breaks });
    await a.start();
    await ready(a);
  }
});
