import { readFileSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { problemOf } from '../helpers/assert-problem.js';
import { createCluster, createLinkedCluster, holds, ready, startAll } from '../helpers/cluster.js';
import { Link, type LinkState } from '../helpers/link.js';
import type { TestNode } from '../helpers/node.js';
import { listening } from '../helpers/ports.js';
import { missing, run } from '../helpers/programs.js';
import { seeded } from '../helpers/random.js';
import { begin, send } from '../helpers/tus.js';

type Three = [TestNode, TestNode, TestNode];
const GROUP = ['group1', 'group1', 'group1'];

t.test('a peer that', async (t) => {
  const random = seeded(t);
  const { nodes, links } = await createLinkedCluster(t, { groups: GROUP });
  const [a, b, c] = nodes as Three;
  await startAll(nodes);
  const spoil = (state: LinkState) => {
    for (const other of [0, 1]) {
      links(2, other).set(state);
      links(other, 2).set(state);
    }
  };
  for (const [state, what] of [
    ['slow', 'is slow'],
    ['silent', 'takes connections and never answers'],
    ['garbage', 'answers garbage'],
    ['corrupt', 'sends wrong bytes'],
    ['cut', 'is cut off'],
  ] as const) {
    await t.test(what, async (t) => {
      spoil(state);
      const contents = new Map<string, Buffer>();
      const times: number[] = [];
      for (let number = 0; number < 20; number++) {
        const content = random.bytes(number % 10 === 9 ? 200_000 : 2000);
        const started = performance.now();
        const { id, copies } = await a.upload(content);
        times.push(performance.now() - started);
        contents.set(id, content);
        t.ok(copies >= 2, 'the two others make the copies');
      }
      t.comment(`slowest upload: ${Math.round(Math.max(...times))} ms`);
      for (const id of contents.keys()) t.ok(b.hasFile(id));
      // Seen to fail (stored) without the check of the bytes in a page, and of a fetched file.
      const isFound = () => /sent .{0,60} instead of/.test(c.log);
      if (state === 'corrupt') await c.until(isFound, 'aware that bytes are wrong');
      spoil('up');
      await holds(c, [...contents.keys()]);
      const wrong: string[] = [];
      for (const [id, content] of contents) if (!readFileSync(c.pathOf(id)).equals(content)) wrong.push(id);
      t.strictSame(wrong, [], 'and nothing wrong was stored');
      for (const node of nodes) await ready(node);
    });
  }
  for (const node of nodes) {
    await node.until(() => node.isWell(), 'well');
    await node.assertClean(t);
  }
});

// Seen to fail without isMissing in deleteHere (503), and in watchPromises; when conditions are checked only for files on this
// node (204 instead of 412); and when `holds` of a peer includes missing files.
t.test('a file that cannot be had is set aside after some tries, said aloud, and never stops the others', async (t) => {
  const random = seeded(t);
  const alerts: { alarm?: string; state?: string; subject?: string }[] = [];
  const receiver = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    alerts.push(JSON.parse(body));
    response.end();
  });
  const port = await listening(t, receiver);
  const env = { FIDFS_COPIES: '1', FIDFS_ALERT_URL: `http://127.0.0.1:${port}/alert` };
  const { nodes, links } = await createLinkedCluster(t, { groups: ['group1', 'group1'], env });
  const [a, b] = nodes as [TestNode, TestNode];
  await startAll(nodes);
  links(1, 0).set('cut');
  const poisoned = await a.upload(random.bytes(300_000));
  const lost = await a.upload(random.bytes(300_000));
  const good = await a.upload(random.bytes(1000));
  // Corrupt at its source before it was replicated.
  const bytes = readFileSync(a.pathOf(poisoned.id));
  bytes[7] = (bytes[7] as number) ^ 1;
  writeFileSync(a.pathOf(poisoned.id), bytes);
  truncateSync(a.pathOf(lost.id));
  links(1, 0).set('up');
  await holds(b, [good.id]);
  await b.until(async () => (await b.status()).missing === 2, 'lacking two');
  t.notOk(b.hasFile(poisoned.id));
  const last = await a.upload(Buffer.from('the last'));
  await holds(b, [last.id]);
  await b.until(async () => (await b.status()).setAside === 2, 'done with trying', 200);
  t.match((await b.command('status')).stdout, /In trouble:\n(?: {2}.*\n)* {2}set-aside: .*could not be fetched/);
  await b.until(() => alerts.some(({ alarm, state }) => alarm === 'set-aside' && state === 'active'), 'heard');
  t.match((await b.get('/metrics')).body.toString(), /fidfs_set_aside_files 2\n/);
  const told = (await a.get(`/console/api/copies?id=${lost.id}`, a.authorized())).body.toString();
  const whoHolds = (JSON.parse(told) as { nodes: { id: number; holds: string | null }[] }).nodes;
  t.match(whoHolds, [{ id: 1 }, { id: 2, holds: null }], 'nobody says that it is where it is lacking');
  // The source is down, possibly permanently.
  await a.stop();
  const wrong = b.authorized({ 'if-match': '"another"' });
  t.equal((await b.delete(lost.id, wrong)).status, 412, 'but not against the condition of the request');
  t.equal((await b.delete(lost.id)).status, 204, 'what nobody has can be deleted');
  t.equal((await b.status()).setAside, 1);
  const isOver = ({ alarm, state, subject }: (typeof alerts)[number]) =>
    alarm === 'set-aside' && state === 'over' && lost.id.endsWith(subject as string);
  await b.until(() => alerts.some(isOver), 'rid of the alarm');
  await a.start();
  await a.until(async () => (await a.get(lost.id)).status === 404, 'told');
  // The file is repaired at its source, and the next round of anti-entropy fetches it.
  bytes[7] = (bytes[7] as number) ^ 1;
  writeFileSync(a.pathOf(poisoned.id), bytes);
  await b.stop();
  b.configure({ FIDFS_REPAIR_INTERVAL: '200ms' });
  await b.start();
  await holds(b, [poisoned.id]);
  t.ok((await b.get(poisoned.id)).body.equals(bytes));
  t.equal((await b.status()).setAside, 0);
});

t.test('nodes whose settings do not go together say so, and join nothing', async (t) => {
  const nodes = await createCluster(t, { groups: ['group1', 'group1'], env: { FIDFS_COPIES: '1' } });
  const [a, b] = nodes as [TestNode, TestNode];
  const paths = [join(b.directory, 's0'), join(b.directory, 's1')].join();
  for (const [wrong, words] of [
    [{ FIDFS_GROUP: 'group2' }, /in group group2, peers here say group1/],
    [{ FIDFS_SERVER_ID: '7', FIDFS_GROUP: 'group1' }, /for node 2; this is node 7|serverId 7, peers here say 2/],
    [{ FIDFS_SERVER_ID: '2', FIDFS_PEER_SECRET: 'another-secret-0123456789' }, /signature is wrong/],
    [
      { FIDFS_PEER_SECRET: 'peer-secret-0123456789', FIDFS_DATA: join(b.directory, 'other'), FIDFS_STORE_PATHS: paths },
      /2 store paths, this node 1/,
    ],
  ] as const) {
    b.configure(wrong);
    await Promise.all(nodes.map((node) => node.start()));
    const detail = async () => {
      const answer = await a.get('/readyz');
      return answer.status === 503 ? problemOf(answer).detail : '';
    };
    await a.until(async () => words.test(await detail()), 'clear about it');
    await a.until(() => words.test(a.log), 'heard in the log');
    const { id } = await a.upload(Buffer.from('x'));
    t.match((await a.command('status')).stdout, words);
    t.notOk(b.hasFile(id), 'and nothing is copied');
    await Promise.all(nodes.map((node) => node.stop()));
  }
});

t.test('peers are reached by https, when their certificates are good', { skip: missing('openssl') }, async (t) => {
  const random = seeded(t);
  const directory = t.testdir({});
  const file = (name: string) => join(directory, name);
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  for (const name of ['good', 'other']) {
    const keys = ['-newkey', 'rsa:2048', '-nodes', '-keyout', file(`${name}.key`), '-out', file(`${name}.crt`)];
    await run('openssl', ['req', '-x509', '-days', '2', ...keys, ...subject]);
  }
  const certificate = { cert: readFileSync(file('good.crt')), key: readFileSync(file('good.key')) };
  const nodes = await createCluster(t, { groups: ['group1', 'group1'], env: { SSL_CERT_FILE: file('good.crt') } });
  const [a, b] = nodes as [TestNode, TestNode];
  const [toA, toB] = await Promise.all([a, b].map((node) => Link.open(t, () => node.port, certificate)));
  a.configure({ FIDFS_PEERS: `2@group1=https://localhost:${toB?.port}` });
  b.configure({ FIDFS_PEERS: `1@group1=https://localhost:${toA?.port}` });
  await startAll(nodes);
  const content = random.bytes(300_000);
  const { id, copies } = await a.upload(content);
  t.equal(copies, 2);
  const upload = await begin(a, 2000);
  t.equal((await send(b, upload, 0, Buffer.alloc(1000))).status, 204, 'pieces for the other are passed on');
  await b.stop();
  // b's nginx requests a file that only a has.
  unlinkSync(b.pathOf(id));
  await b.start();
  await b.until(async () => (await b.get(id)).status === 200, 'reading from the other');
  t.ok((await b.get(id)).body.equals(content));
  await b.stop();
  // Seen to fail (never ready) without --use-openssl-ca.
  b.configure({ SSL_CERT_FILE: file('other.crt') });
  await b.start();
  await b.until(() => /certificate/.test(b.log), 'refusing it');
  t.equal((await b.get(id)).status, 503, 'and nothing is read from a node that cannot prove who it is');
  t.equal((await send(b, upload, 1000, Buffer.alloc(1000))).status, 503, 'nor is anything sent to it');
});
