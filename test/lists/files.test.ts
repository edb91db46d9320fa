import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startCluster } from '../helpers/cluster.js';
import { bearer, makeKey, usable } from '../helpers/keys.js';
import { TestNode, type Uploaded } from '../helpers/node.js';
import { outcome } from '../helpers/raw.js';

interface Listed {
  files: { id: string; size: number; created: string; sha256: string; crc32: string | null; ext: string }[];
  next?: string;
}

async function page(node: TestNode, query: string, key = node.key): Promise<Listed> {
  const answer = await node.get(`/files?${query}`, bearer(key));
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
  return JSON.parse(String(answer.body));
}

/** All IDs, page by page. */
async function walk(node: TestNode, query: string): Promise<string[]> {
  const ids: string[] = [];
  for (let after = ''; ; ) {
    const { files, next } = await page(node, `${query}${after}`);
    ids.push(...files.map(({ id }) => id));
    if (next === undefined) return ids;
    after = `&after=${next}`;
  }
}

// Seen to fail with each mutation of test/mutations/lists.mjs that names it.
t.test('the list says of each file what its upload said', async (t) => {
  const node = await TestNode.start(t);
  t.strictSame(await page(node, ''), { files: [] });
  const uploaded: Uploaded[] = [];
  for (const ext of ['txt', 'JPG', 'tar.gz', ''])
    uploaded.push(await node.upload(Buffer.from(`a ${ext}`), `?ext=${ext}`));
  const slave = await node.upload(Buffer.from('small'), `?master=${uploaded[1]?.id}&prefix=_s&ext=jpg`);
  await node.request(`/metadata/${uploaded[0]?.id}`, { method: 'PUT', body: '{"a":"b"}', headers: node.authorized() });
  const { files, next } = await page(node, 'order=oldest');
  t.equal(next, undefined);
  t.equal(files.length, 5, 'metadata is no file');
  for (const { id, size, sha256, crc32, created } of [...uploaded, slave]) {
    const isSlave = id === slave.id;
    t.match(
      files.find((file) => file.id === id),
      { id, size, sha256, created: isSlave ? uploaded[1]?.created : created, crc32: isSlave ? null : crc32, source: 1 },
    );
  }
  t.strictSame(new Set(files.map(({ ext }) => ext)), new Set(['txt', 'JPG', 'tar.gz', '', 'jpg']));
  t.equal((await page(node, 'ext=JPG')).files.length, 1);
  t.equal((await page(node, 'ext=')).files.length, 1);
  const created = Date.parse(uploaded[0]?.created ?? '') / 1000;
  const count = async (query: string) => (await page(node, query)).files.length;
  const atOnce = files.filter((file) => Date.parse(file.created) / 1000 === created).length;
  t.equal(await count(`from=${created}&to=${created + 1}`), atOnce);
  t.equal(await count(`from=${created}.5&to=${created + 1}`), 0);
  t.equal(await count(`from=${new Date(created * 1000).toISOString()}`), 5);
  t.equal(await count(`to=${new Date(created * 1000).toISOString()}`), 0);
  await node.delete(uploaded[3]?.id ?? '');
  t.equal(await count(''), 4, 'a deleted file is not listed');

  for (const query of [
    ...['limit=0', 'limit=1001', 'limit=-1', 'limit=1e2', 'limit=', 'limit=5&limit=6', 'order=up', 'order=', 'after=x'],
    ...[
      'after=',
      `after=${'A'.repeat(4000)}`,
      'from=yesterday',
      'from=2026-13-01',
      'from=2026-02-30',
      'to=',
      'to=NaN',
      'from=-5',
    ],
    ...['ext=../../x', 'ext=.jpgjpg', `group=${'g'.repeat(300)}`, 'from=99999999999', "to=1'--"],
  ]) {
    t.equal(outcome(await node.get(`/files?${query}`, node.authorized())), '400 bad-request', query);
  }
  t.equal(outcome(await node.get('/files?group=other', node.authorized())), '400 no-such-group');
  t.equal(outcome(await node.get('/files?group=__proto__', node.authorized())), '400 no-such-group');
  t.equal((await node.get('/files?from=0&to=4294967296&x=y', node.authorized())).status, 200);
  t.equal((await node.request('/files', { method: 'PUT', body: 'x', headers: node.authorized() })).status, 405);

  const text = await node.command('list', '--oldest');
  t.strictSame(text.stdout.trim().split('\n'), await walk(node, 'order=oldest'));
  t.strictSame(JSON.parse((await node.command('list', '--json', '--since', '1h')).stdout).length, 4);
  t.strictSame(JSON.parse((await node.command('list', '--json', '--until', '1h')).stdout), []);
  const csv = (await node.command('list', '--csv', '--limit', '2')).stdout.split('\n');
  t.equal(csv[0], 'id,size,created,sha256,crc32,ext,kind,source');
  t.equal(csv.length, 4);
  for (const words of [
    ['--since', 'soon'],
    ['--limit', '0'],
    ['--json', '--csv'],
  ])
    t.equal((await node.command('list', ...words)).status, 2, words.join(' '));
});

// Files that are there all the time are in the list exactly once, whatever comes and goes beside them.
t.test('lists of three nodes and two groups are complete and without doubles under load', async (t) => {
  const nodes = await startCluster(t, { groups: ['group1', 'group1', 'group2'] });
  const [first, second, third] = nodes as [TestNode, TestNode, TestNode];
  const lasting: string[] = [];
  for (let number = 0; number < 120; number++) {
    const group = number % 2 === 0 ? 'group1' : 'group2';
    lasting.push((await first.upload(Buffer.from(`lasting ${number}`), `?group=${group}`)).id);
  }
  await second.until(async () => (await walk(second, 'limit=1000')).length === 120, 'listing all');
  let goesOn = true;
  let changes = 0;
  const clients = Array.from({ length: 8 }, async (_, client) => {
    const node = nodes[client % 3] as TestNode;
    while (goesOn) {
      const { id } = await node.upload(Buffer.from(`passing ${client} ${++changes}`));
      await node.delete(id);
    }
  });
  for (const node of nodes) {
    for (const order of ['newest', 'oldest']) {
      const ids = await walk(node, `limit=17&order=${order}`);
      t.equal(new Set(ids).size, ids.length, 'none twice');
      t.strictSame(
        lasting.filter((id) => !ids.includes(id)),
        [],
        'none is left out',
      );
    }
  }
  goesOn = false;
  await Promise.all(clients);
  t.ok(changes > 50, `${changes} files came and went`);

  const all = await walk(first, 'limit=50');
  const times = all.map((id) => Buffer.from(id.split('/')[4]?.slice(0, 12) ?? '', 'base64url').readUInt32BE(4));
  t.strictSame(
    times,
    times.toSorted((one, other) => other - one),
    'the newest first, over both groups',
  );
  const only = await walk(third, 'group=group1&limit=9');
  t.strictSame(new Set(only), new Set(all.filter((id) => id.startsWith('group1/'))));

  const limited = makeKey(nodes, 'limited', ['list'], { groups: ['group2'] });
  await usable(first, limited);
  const { files } = await page(first, 'limit=1000', limited);
  t.equal(files.length, all.length - only.length, 'a key of one group lists that group');
  t.equal(outcome(await first.get('/files?group=group1', bearer(limited))), '403 no-right');

  await second.stop();
  t.strictSame(await walk(third, 'limit=40'), all, 'a node of the group is enough');
  await third.stop();
  await sleep(100);
  const refused = await first.get('/files', first.authorized());
  t.equal(outcome(refused), '503 unavailable');
  t.match(String(refused.body), /No node of group2 .*\?group=/);
  t.strictSame(new Set(await walk(first, 'group=group1&limit=11')), new Set(only));
});
