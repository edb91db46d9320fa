import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startCluster } from '../helpers/cluster.js';
import { bearer, makeKey, usable } from '../helpers/keys.js';
import { COMMAND, type Ended, TestNode } from '../helpers/node.js';
import { outcome } from '../helpers/raw.js';

interface Result {
  id: string;
  status: string;
  detail?: string;
  size?: number;
  sha256?: string;
  copies?: number;
  wanted?: number;
}

const NOWHERE = 'group1/M00/00/00/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg';

function send(node: TestNode, path: string, body: string, headers = node.authorized()) {
  return node.request(path, { method: 'POST', body, headers });
}

async function many(node: TestNode, path: string, ids: unknown[], key = node.key): Promise<Result[]> {
  const answer = await send(node, path, JSON.stringify({ ids }), bearer(key));
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
  return JSON.parse(String(answer.body)).results;
}

function statuses(results: readonly Result[]): string[] {
  return results.map(({ status }) => status);
}

async function uploadAll(node: TestNode, count: number, query = ''): Promise<string[]> {
  const uploads = Array.from({ length: count }, (_, number) => node.upload(Buffer.from(`${query} ${number}`), query));
  return (await Promise.all(uploads)).map(({ id }) => id);
}

/** Resolves when a node has logged a deletion. */
function logged(node: TestNode, id: string): Promise<void> {
  return node.until(() => node.log.includes(`"id":"${id}","msg":"deleted"`), 'logging it', 10);
}

/** Runs the command with IDs on standard input. */
function command(node: TestNode, words: string[], input: string): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...node.env, NODE_OPTIONS: '' }, maxBuffer: 2 ** 26 };
    const child = execFile(process.execPath, [COMMAND, ...words], options, (error, stdout, stderr) =>
      resolve({ status: error ? Number(error.code) : 0, stdout, stderr }),
    );
    child.stdin?.end(input);
  });
}

// Seen to fail with each mutation of test/mutations/lists.mjs that names it.
t.test('each of many IDs has a result of its own, in their order', async (t) => {
  const node = await TestNode.start(t);
  const ids = await uploadAll(node, 6, '?ext=txt');
  const [one = '', two = '', three = '', four = ''] = ids;
  const slave = await node.upload(Buffer.from('slave'), `?master=${one}&prefix=_s&ext=txt`);
  const asked = [
    two,
    'nonsense',
    one,
    NOWHERE,
    one,
    NOWHERE.replace('group1', 'group9'),
    slave.id,
    '',
    '\u0000'.repeat(300),
  ];
  const found = await many(node, '/stat', asked);
  const expected = ['stored', 'bad-id', 'stored', 'not-found', 'stored', 'not-found', 'stored', 'bad-id', 'bad-id'];
  t.strictSame(statuses(found), expected);
  t.strictSame(
    found.map(({ id }) => id),
    asked,
  );
  const { size, sha256 } = slave;
  t.match(found[6], { kind: 'slave', size, sha256, crc32: null });

  const deleted = await many(node, '/delete', [one, 'nonsense', one, NOWHERE, two]);
  t.strictSame(statuses(deleted), ['deleted', 'bad-id', 'not-found', 'not-found', 'deleted']);
  t.ok(deleted[1]?.detail && deleted[3]?.detail);
  t.strictSame(statuses(await many(node, '/stat', [one, slave.id, two, three])), ['not-found', 'not-found', 'not-found', 'stored']); // biome-ignore format: one line
  t.equal((await node.get(one)).status, 404);
  const kept = await node.upload(Buffer.from('slave'), `?master=${three}&prefix=_s&ext=txt`);
  t.strictSame(statuses(await many(node, '/delete?slaves=keep', [three])), ['deleted']);
  t.strictSame(statuses(await many(node, '/stat', [three, kept.id])), ['not-found', 'stored']);
  await logged(node, two);

  t.strictSame(await many(node, '/stat', []), []);
  const full = Array.from({ length: 1000 }, () => NOWHERE);
  t.equal((await many(node, '/stat', full)).length, 1000);
  t.notMatch(node.log, 'body is buffered', 'nginx has it in memory');
  for (const body of [
    ...['', 'x', '[]', '{}', 'null', '{"ids":"x"}', '{"ids":[1]}', '{"ids":[null]}', '{"ids":[],"more":1}'],
    ...['{"ids":{"length":1}}', JSON.stringify({ ids: [...full, NOWHERE] }), '{"ids":'],
  ]) {
    for (const path of ['/stat', '/delete'])
      t.equal(outcome(await send(node, path, body)), '400 bad-request', body.slice(0, 20));
  }
  t.equal(outcome(await send(node, '/stat', `{"ids":["${'x'.repeat(300_000)}"]}`)), '413 too-large');
  t.equal(outcome(await send(node, '/delete?slaves=all', '{"ids":[]}')), '400 bad-request');
  t.equal(outcome(await node.get('/stat', node.authorized())), '405 method-not-allowed');
  t.equal(outcome(await node.get('/delete', node.authorized())), '405 method-not-allowed');

  const other = makeKey(node, 'other', ['delete', 'list'], { groups: ['group2'] });
  await usable(node, other);
  for (const path of ['/stat', '/delete']) t.strictSame(statuses(await many(node, path, [four], other)), ['no-right']);
  t.strictSame(statuses(await many(node, '/stat', [four])), ['stored']);

  const lines = `${four} pictures/a.txt\r\n\n  ${NOWHERE}\nnonsense\n${ids[4]}`;
  const stat = await command(node, ['stat', '-'], lines);
  t.equal(stat.status, 2, 'an argument is no ID');
  t.strictSame(stat.stdout.match(/^\S+ \d+ /gm)?.length, 2);
  t.match(stat.stderr, /nonsense: /);
  const json = await command(node, ['delete', '--json', '-'], lines.replace('nonsense', ''));
  t.equal(json.status, 1, 'one was not there');
  t.strictSame(statuses(JSON.parse(json.stdout)), ['deleted', 'not-found', 'deleted']);
  const last = await command(node, ['delete', '-'], `${ids[5]}\n`);
  t.strictSame([last.status, last.stdout, last.stderr], [0, `deleted ${ids[5]}\n`, '']);
  t.equal((await command(node, ['stat', '--json', '-'], '')).stdout, '[]\n');
  t.equal((await command(node, ['stat', one, '-'], '')).status, 2);
  const listed = await uploadAll(node, 1100, '?ext=bin');
  const gone = await command(node, ['delete', '-'], (await node.command('list', '--ext', 'bin')).stdout);
  t.strictSame([gone.status, gone.stdout.split('\n').length], [0, listed.length + 1]);
  t.equal((await node.command('list', '--ext', 'bin')).stdout, '');
  await node.assertClean(t);
});

t.test('many files of two groups are deleted on as many nodes as one by one', async (t) => {
  const env = { FIDFS_COPIES: '1', FIDFS_COPY_TIMEOUT: '2s' };
  const nodes = await startCluster(t, { groups: ['group1', 'group1', 'group2'], env });
  const [first, second, third] = nodes as [TestNode, TestNode, TestNode];
  const ids = [...(await uploadAll(first, 20, '?group=group1')), ...(await uploadAll(first, 20, '?group=group2'))];
  const mixed = ids.flatMap((_, number) => ids[(number * 7) % 40] ?? []);
  t.equal(new Set(mixed).size, 40);
  for (const node of nodes) {
    const found = await many(node, '/stat', [...mixed, NOWHERE, NOWHERE.replace('group1', 'group2')]);
    t.strictSame(new Set(statuses(found.slice(0, 40))), new Set(['stored']));
    t.strictSame(statuses(found.slice(40)), ['not-found', 'not-found']);
    t.strictSame(
      found.slice(0, 40).map(({ id }) => id),
      mixed,
    );
  }
  const [own = '', away = ''] = [ids[0], ids[39]];
  t.strictSame(statuses(await many(second, '/delete', [away, 'nonsense', own, away])), [
    'deleted',
    'bad-id',
    'deleted',
    'not-found',
  ]);
  for (const node of nodes) t.strictSame(statuses(await many(node, '/stat', [own, away])), ['not-found', 'not-found']);
  // The node that was asked logs it.
  await logged(second, away);

  await third.stop();
  await sleep(1500);
  const partly = await many(first, '/delete', [ids[1], ids[38]]);
  t.strictSame(statuses(partly), ['deleted', 'unavailable']);
  t.match(partly[1]?.detail, /group2/);
  t.strictSame(statuses(await many(first, '/stat', [ids[2], ids[38], NOWHERE])), [
    'stored',
    'unavailable',
    'not-found',
  ]);
  await second.stop();
  t.strictSame(
    statuses(await many(first, '/stat', [ids[2], NOWHERE])),
    ['stored', 'unavailable'],
    'the other node may have it',
  );
});

t.test('many deletions have the copies that single ones have, or are only accepted', async (t) => {
  const nodes = await startCluster(t, {
    groups: ['group1', 'group1'],
    env: { FIDFS_COPIES: '2', FIDFS_COPY_TIMEOUT: '2s' },
  });
  const [first, second] = nodes as [TestNode, TestNode];
  const ids = await uploadAll(first, 300);
  t.strictSame(new Set(statuses(await many(first, '/delete', ids.slice(0, 150)))), new Set(['deleted']));
  for (const id of ids.slice(0, 150)) if (second.hasFile(id)) t.fail(`${id} is still on the other node`);
  for (const pid of second.pids()) process.kill(pid, 'SIGSTOP');
  const started = performance.now();
  const results = await many(first, '/delete', ids.slice(150)).finally(() => {
    for (const pid of second.pids()) process.kill(pid, 'SIGCONT');
  });
  t.strictSame(new Set(statuses(results)), new Set(['accepted']));
  t.match(results[0], { copies: 1, wanted: 2 });
  t.ok(performance.now() - started < 10_000, `${performance.now() - started} ms`);
});
