import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { batchOf, storedFile } from '../../bench/index-size.js';
import { Index } from '../../daemon/index/index.js';
import fileId from '../../file-id/file-id.js';
import { startCluster } from '../helpers/cluster.js';
import { bearer, makeKey, usable } from '../helpers/keys.js';
import { type Ended, TestNode } from '../helpers/node.js';
import { run } from '../helpers/programs.js';

/** `AUDIT_FILES=1000000` tries it with as many. */
const FILES = Number(process.env.AUDIT_FILES ?? 20_000);
const DAY = 86_400;
const NOWHERE = 'group1/M00/00/00/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg';

/** Puts records of files that do not exist into the index of a node that does not run; returns their IDs. */
async function fill(node: TestNode, files: number): Promise<string[]> {
  mkdirSync(node.data, { recursive: true });
  const index = new Index(join(node.data, 'index.db'));
  const first = Math.floor(Date.now() / 1000) - 30 * DAY;
  const ids: string[] = [];
  for (let number = 0; number < files; number += 10_000) {
    const added = Array.from({ length: Math.min(10_000, files - number) }, (_, offset) => {
      const created = first + Math.floor((number + offset) / 5000);
      const key = fileId.encodeKey({
        serverId: 1,
        created,
        size: 1000,
        crc32: number + offset,
        counter: offset % 5000,
      });
      const name = `${key.toString('base64url')}417.jpg`;
      return { ...storedFile(number + offset), id: name, key, name, created };
    });
    index.record(batchOf(added));
    for (const { storePath, directory, name } of added) ids.push(fileId.join('group1', storePath, directory, name));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await index.close();
  return ids;
}

/** Resolves when the second of the last upload is over, because a list does not name what is uploaded in its own. */
function nextSecond(node: TestNode): Promise<void> {
  const now = Math.floor(Date.now() / 1000);
  return node.until(() => Date.now() / 1000 > now + 1.1, 'later');
}

function write(node: TestNode, lines: readonly string[], end = '\n'): string {
  const file = join(node.directory, 'ids.txt');
  writeFileSync(file, lines.join('\n') + end);
  return file;
}

/** The lines that a command printed, sorted. */
function linesOf({ stdout }: Ended): string[] {
  return stdout.trim().split('\n').filter(Boolean).toSorted();
}

// Seen to fail with each mutation of test/mutations/lists.mjs that names it.
t.test('an audit names what is missing and what nobody names', async (t) => {
  const node = await TestNode.create(t, { env: { FIDFS_SCRUB_DAYS: '0' } });
  const old = await fill(node, FILES);
  await node.start();
  const [one, two, three] = [await node.upload(Buffer.from('one'), '?ext=txt'), await node.upload(Buffer.from('two')), await node.upload(Buffer.from('three'), '?ext=jpg')]; // biome-ignore format: one line
  const slave = await node.upload(Buffer.from('slave'), `?master=${one.id}&prefix=_s&ext=txt`);
  const orphan = await node.upload(Buffer.from('orphan'), `?master=${two.id}&prefix=_s&ext=txt`);
  await nextSecond(node);
  const all = [...old, one.id, two.id, three.id];

  // In the order of a database, not of the store.
  const mixed = all.toSorted((x, y) => (x.slice(-20) < y.slice(-20) ? -1 : 1));
  const same = await node.command('audit', write(node, [...mixed, one.id]));
  t.strictSame([same.status, same.stdout], [0, ''], same.stderr);
  t.match(
    same.stderr,
    new RegExp(
      `${FILES + 3} files named, 0 of them missing\\nfidfs: group1: ${FILES + 5} files until .*, 0 of them unnamed`,
    ),
  );

  const named = all.filter((id) => id !== old[5] && id !== two.id);
  const differs = await node.command('audit', write(node, [...named, NOWHERE, slave.id]));
  t.equal(differs.status, 1);
  const record = old[5] ?? '';
  const created = fileId.describe(record).created;
  t.strictSame(
    linesOf(differs),
    [
      `missing ${NOWHERE}`,
      `unnamed ${record} 1000 ${created}`,
      `unnamed ${two.id} 3 ${two.created}`,
      `unnamed ${orphan.id} 6 ${two.created}`,
    ].toSorted(),
  );
  const slaves = await node.command('audit', '--slaves', '--json', write(node, [...named, two.id]));
  t.strictSame(
    new Set(JSON.parse(slaves.stdout).map(({ id }: { id: string }) => id)),
    new Set([record, slave.id, orphan.id]),
  );
  const young = await node.command('audit', '--csv', '--older-than', '1d', write(node, named));
  t.strictSame(young.stdout.split('\n'), ['state,id,size,created', `unnamed,${record},1000,${created}`, '']);

  // A file that is newer than the list is not unnamed, one that it names is not missing.
  const file = write(node, [...old, one.id]);
  utimesSync(file, 0, Date.now() / 1000 - DAY);
  const early = await node.command('audit', file);
  t.strictSame([early.status, early.stdout], [0, ''], early.stderr);

  for (const words of [
    ['--json', '--csv', file],
    ['--older-than', 'soon', file],
    ['--delete-unnamed', '--yes', file],
    ['--delete-unnamed', '--older-than', '1d', file],
    ['--delete-unnamed', '--older-than', '1d', '--yes', '--slaves', file],
    ['--temp', file, file],
    ['--temp', '/nowhere', file],
    [],
  ])
    t.equal((await node.command('audit', ...words)).status, 2, words.join(' '));
  t.equal((await node.command('audit', '/nowhere')).status, 1);
  t.match((await node.command('audit', write(node, ['']))).stderr, /names no file/);
});

t.test('an audit reads lists in the forms that applications have', async (t) => {
  const node = await TestNode.start(t);
  const ids = await Promise.all(Array.from({ length: 9 }, async (_, n) => (await node.upload(Buffer.from(`${n}`), '?ext=jpg')).id)); // biome-ignore format: one line
  const [a = '', b = '', c = '', d = '', e = '', f = '', g = '', h = '', i = ''] = ids;
  await nextSecond(node);
  const lines = [
    '\ufeffpath,size\r',
    `${a},5\r`,
    `"https://cdn.example.com:8443/files/${b}?token=0f&ts=1","a, ""b"""\r`,
    '\r',
    `  /${c}`,
    d.replace('/M00/', '/'),
    `${e.replace('group1/', '')}\tphotos/e.jpg`,
    `http://localhost/picture/thumb/${f}#top`,
    `https://example.com/${g.replaceAll('/', '%2F')}`,
    `//example.com//${h}`,
    `${i} pictures/i.jpg`,
    'nonsense',
    '../../../../etc/passwd',
    `${a}-m`,
    'x'.repeat(3_000_000),
    '\u0000\u0001',
    'group1/M00/00/00/short',
    '%E0%A4%A/x',
  ];
  const found = await node.command('audit', write(node, lines, ''));
  t.strictSame([found.status, found.stdout], [1, ''], found.stderr);
  t.match(found.stderr, /ids\.txt:12: "nonsense" is not the ID of a file/);
  t.match(found.stderr, /ids\.txt: 7 lines without an ID in all/);
  t.match(found.stderr, /9 files named, 0 of them missing/);
});

t.test('an audit deletes only by a list that is whole and of this store', async (t) => {
  const nodes = await startCluster(t, { groups: ['group1', 'group2'] });
  const [first, second] = nodes as [TestNode, TestNode];
  const upload = (text: string, group: string) => first.upload(Buffer.from(text), `?group=${group}&ext=txt`);
  const ids: string[] = [];
  for (let n = 0; n < 8; n++) ids.push((await upload(`file ${n}`, 'group1')).id);
  const [one = '', two = '', three = '', ...rest] = ids;
  const elsewhere = await upload('elsewhere', 'group2');
  const slave = (await first.upload(Buffer.from('s'), `?master=${three}&prefix=_s&ext=txt`)).id;
  await nextSecond(first);
  await nextSecond(first);
  const isThere = async (id: string) => (await first.get(id)).status === 200;
  const remove = (file: string, ...words: string[]) =>
    first.command('audit', '--delete-unnamed', '--older-than', '1s', '--yes', ...words, file);
  const refused = async (file: string, why: RegExp, ...words: string[]) => {
    const { status, stderr, stdout } = await remove(file, ...words);
    t.equal(status, 1);
    t.match(stderr, why);
    t.notMatch(stdout, /deleted/);
  };

  await refused(write(first, [NOWHERE]), /nothing was deleted: the list names no file that group1 has/);
  await refused(
    write(first, [one, two]),
    /6 of the 9 files of group1 are not named: the list may be cut off|7 of the 9/,
  );
  await refused(write(first, [...rest, three], ''), /may be cut off/);
  await refused(write(first, [...rest, three, three.slice(0, 30)]), /1 line of the list has no ID/);
  await refused(write(first, [...rest, three]), /names no file that group2 has/, '--all-groups');
  const aged = write(first, [...rest, three]);
  utimesSync(aged, 0, Date.now() / 1000 - DAY);
  t.equal((await remove(aged)).status, 0, 'files are older than the list');
  const younger = await first.command('audit', '--delete-unnamed', '--older-than', '1h', '--yes', write(first, rest));
  t.strictSame([younger.status, younger.stdout], [0, '']);
  for (const id of [...ids, slave, elsewhere.id]) t.ok(await isThere(id), 'nothing is deleted so far');

  const limited = makeKey(nodes, 'limited', ['list']);
  await usable(first, limited);
  const words = ['audit', '--delete-unnamed', '--older-than', '1s', '--yes', write(first, [...rest, three])];
  first.configure({ FIDFS_KEY: limited });
  const without = await first.command(...words);
  first.configure({ FIDFS_KEY: first.key });
  t.match(without, { status: 1, stderr: /no-right|right "delete"|may not|403/ });
  t.strictSame((await first.get('/files', bearer(limited))).status, 200);

  const { status, stdout, stderr } = await first.command(...words, '--json');
  t.equal(status, 0, stderr);
  const deleted = JSON.parse(stdout).filter(({ state }: { state: string }) => state === 'deleted');
  t.strictSame(new Set(deleted.map(({ id }: { id: string }) => id)), new Set([one, two]));
  t.notOk((await isThere(one)) || (await isThere(two)));
  for (const id of [...rest, three, slave, elsewhere.id]) t.ok(await isThere(id));

  // A master whose slave is named stays, and so does a slave of an unnamed master that is named.
  const kept = await remove(write(first, [...rest, slave]));
  t.strictSame([kept.status, kept.stdout], [0, '']);

  // Asked on a terminal.
  const list = write(first, rest);
  const asked = `node ${process.argv[1]?.replace(/dist\/test.*/, 'bin/fidfs.mjs')} audit --delete-unnamed --older-than 1s ${list}`;
  for (const [answer, survives] of [
    ['no', true],
    ['yes', false],
  ] as const) {
    // biome-ignore format: one line
    const script = `sleep 3; echo ${answer}`;
    await run('sh', ['-c', `(${script}) | script -qec "${asked}" /dev/null`], first.env);
    t.equal(await isThere(three), survives, answer);
    t.equal(await isThere(slave), survives, answer);
  }
  t.ok(await isThere(elsewhere.id), 'groups that the list does not name are not judged');
  await remove(write(first, rest), '--all-groups', '--force');
  await first.until(async () => !(await isThere(elsewhere.id)), 'without it');
  await second.assertClean(t);
});
