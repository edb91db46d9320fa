import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { mountTmpfs } from '../helpers/mounts.js';
import { COMMAND, TestNode, type Uploaded } from '../helpers/node.js';

const FILES = 400;

/** Starts a command that the test may kill. */
function begin(node: TestNode, ...words: string[]): ChildProcess {
  const env = { ...process.env, ...node.env, NODE_OPTIONS: '' };
  return spawn(process.execPath, [COMMAND, ...words], { env, stdio: 'ignore' });
}

/** Old and new IDs of a map, without its heading. */
function read(file: string): string[][] {
  try {
    const [, ...rows] = readFileSync(file, 'utf8').trim().split('\n');
    return rows.map((row) => row.split(','));
  } catch {
    return [];
  }
}

async function listed(node: TestNode): Promise<number> {
  return JSON.parse((await node.command('list', '--json')).stdout).length;
}

// Seen to fail with each mutation of test/mutations/lists.mjs that names it.
t.test('an import gives every file of an export a new ID, once, with its slaves and metadata', async (t) => {
  const node = await TestNode.start(t);
  const uploads = Array.from({ length: FILES }, (_, n) => node.upload(Buffer.from(`file ${n}`), '?ext=txt'));
  const files = await Promise.all(uploads);
  const [first] = files as [Uploaded];
  files.push(await node.upload(Buffer.alloc(2_000_000, 'large'), '?ext=bin'));
  const slave = await node.upload(Buffer.from('slave'), `?master=${first.id}&prefix=_150x150&ext=webp`);
  const inner = await node.upload(Buffer.from('slave of it'), `?master=${slave.id}&prefix=.x`);
  files.push(slave, inner);
  const metadata = { title: 'Harbour "north"' };
  const put = { method: 'PUT', body: JSON.stringify(metadata), headers: node.authorized() } as const;
  await node.request(`/metadata/${first.id}`, put);
  const directory = join(node.directory, 'out');
  t.equal((await node.command('export', directory)).status, 0);

  const map = join(node.directory, 'map.csv');
  const child = begin(node, 'import', '--map', map, directory);
  const ended = once(child, 'exit');
  await node.until(() => read(map).length > 60 || child.exitCode !== null, 'under way');
  child.kill('SIGKILL');
  await ended;
  const before = read(map).length;
  t.ok(before < FILES, `killed after ${before}`);
  appendFileSync(map, `${inner.id},group1/M00/0`);
  const { status, stdout, stderr } = await node.command('import', '--json', '--map', map, directory);
  t.equal(status, 0, stderr);
  t.strictSame(JSON.parse(stdout), { files: files.length - before, present: before, failed: 0 });

  const ids = new Map(read(map) as [string, string][]);
  t.equal(ids.size, files.length);
  t.equal(new Set([...ids.values(), ...ids.keys()]).size, 2 * files.length, 'all IDs are new');
  for (const { id, size } of files) {
    const answer = await node.get(ids.get(id) ?? '');
    t.strictSame([answer.status, answer.body.length], [200, size]);
  }
  const stem = ids.get(first.id)?.slice(0, -4);
  t.strictSame([ids.get(slave.id), ids.get(inner.id)], [`${stem}_150x150.webp`, `${stem}_150x150.x`]);
  const kept = await node.get(`/metadata/${ids.get(first.id)}`, node.authorized());
  t.strictSame(JSON.parse(String(kept.body)), metadata);
  // What was on the way when it was killed is there twice.
  const all = await listed(node);
  t.ok(all >= 2 * files.length && all <= 2 * files.length + 4, `${all} files`);

  // A slave whose answer was lost is found again.
  writeFileSync(map, `old,new\n${first.id},${ids.get(first.id)}\n`);
  writeFileSync(join(directory, 'list.csv'), `id,name,sha256\n${[first, slave].map((file) => `${file.id},${file.id},${file.sha256}\n`).join('')}`); // biome-ignore format: one line
  t.equal((await node.command('import', '--map', map, directory)).status, 0);
  t.strictSame(read(map).at(-1), [slave.id, ids.get(slave.id)]);
});

t.test('an import takes no file from elsewhere, and none with another content', async (t) => {
  const node = await TestNode.start(t);
  const directory = join(node.directory, 'in');
  mkdirSync(join(directory, 'sub'), { recursive: true });
  const secret = join(node.directory, 'secret.txt');
  writeFileSync(secret, 'secret');
  symlinkSync(secret, join(directory, 'link.txt'));
  symlinkSync(node.directory, join(directory, 'away'));
  writeFileSync(join(directory, 'sub/a, "b".txt'), 'good');
  const good = '770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c';
  const rows = [
    ...[
      '../secret.txt',
      '../../../../etc/passwd',
      secret,
      'link.txt',
      'away/secret.txt',
      'a\u0000b',
      'missing',
      'sub',
      '',
    ],
    ...['sub/../../secret.txt', './..', '..'],
  ].map((name, number) => `bad${number},"${name}",`);
  rows.push(`other,"sub/a, ""b"".txt",${'0'.repeat(64)}`, 'digest,"sub/a, ""b"".txt",xyz');
  writeFileSync(join(directory, 'list.csv'), ['id,name,sha256', ...rows, `,"sub/a, ""b"".txt",${good}\r\n`].join('\n'));
  const { status, stderr, stdout } = await node.command('import', directory);
  t.equal(status, 1);
  t.equal(stdout, `1 file imported; 0 were in ${directory}/map.csv; ${rows.length} failed\n`, stderr);
  const map = readFileSync(join(directory, 'map.csv'), 'utf8').split('\n');
  t.match(map[1], /^"sub\/a, ""b"".txt",group1\/.*\.txt$/);
  t.equal(map.length, 3);
  t.equal(await listed(node), 1);
  const again = await node.command('import', directory);
  t.match(again.stdout, /^0 files imported; 1 were in/);

  // A file that is no map keeps its last line, although that has no end.
  const other = join(node.directory, 'other.csv');
  writeFileSync(other, 'name,price\ntea,3');
  const refused = await node.command('import', '--map', other, directory);
  t.match(refused, {
    status: 1,
    stderr: /other\.csv is there, and does not begin with "old,new"; it is left as it is/,
  });
  t.equal(readFileSync(other, 'utf8'), 'name,price\ntea,3');

  // Columns of any length before the name; metadata that the node does not take leaves no file.
  const long = `"${'a long description, '.repeat(2000)}"`;
  const names = ['one', 'two', 'three'];
  for (const name of names) writeFileSync(join(directory, name), name);
  writeFileSync(
    join(directory, 'list.csv'),
    `text,name,id\n${names.map((name) => `${long},${name},${name}\n`).join('')}`,
  );
  writeFileSync(join(directory, 'metadata.jsonl'), `{"id":"two","metadata":{"${'n'.repeat(100)}":"x"}}\n`);
  for (const already of [0, 2]) {
    const { status, stdout } = await node.command('import', '--json', directory);
    t.strictSame([status, JSON.parse(stdout)], [1, { files: 2 - already, present: already, failed: 1 }]);
    t.equal(await listed(node), 3);
  }

  // On a full disk no row is written by half, and none after it: its end would become part of the ID.
  if (process.getuid?.() === 0) {
    rmSync(join(directory, 'metadata.jsonl'));
    const small = mountTmpfs(t, join(node.directory, 'small'), 1);
    const full = join(small, 'map.csv');
    writeFileSync(full, `old,new\n${'x'.repeat(4070)},y\n`);
    writeFileSync(join(directory, 'list.csv'), 'name\n');
    t.equal((await node.command('import', '--map', full, directory)).status, 0);
    t.throws(() => writeFileSync(join(small, 'rest'), Buffer.alloc(2 ** 20)), { code: 'ENOSPC' });
    const before = readFileSync(full, 'utf8');
    writeFileSync(join(directory, 'list.csv'), `name\n${names.join('\n')}\n`);
    const stopped = await node.command('import', '--map', full, directory);
    t.match(stopped, { status: 1, stderr: /small\/map\.csv cannot be written: .*no space.*; make room there/ });
    t.equal(readFileSync(full, 'utf8'), before);
  }

  writeFileSync(join(directory, 'list.csv'), 'a,b\n1,2\n');
  t.match(await node.command('import', directory), { status: 1, stderr: /its first line must be id,name,sha256/ });
  t.equal((await node.command('import', join(node.directory, 'nowhere'))).status, 1);
  for (const words of [[], [directory, '--urls', 'x'], [directory, '--at-once', '0'], ['--urls', '-']])
    t.equal((await node.command('import', ...words)).status, 2, words.join(' '));
  node.configure({ FIDFS_KEY: 'wrong-key-0123456789abcdef' });
  writeFileSync(join(directory, 'list.csv'), `name\n${'sub/x\n'.repeat(3)}`);
  writeFileSync(join(directory, 'sub/x'), 'x');
  const wrong = await node.command('import', directory);
  t.match(wrong, { status: 1, stderr: /not the key of this node/ });
  t.equal(wrong.stdout, '', 'it ends there');

  const busy = createServer((request, answer) => void request.resume().on('end', () => answer.writeHead(503).end()));
  busy.listen(0, '127.0.0.1');
  await once(busy, 'listening');
  t.teardown(() => busy.close());
  const many = Array.from({ length: 60 }, (_, number) => `sub/${number}`);
  for (const name of many) writeFileSync(join(directory, name), '');
  writeFileSync(join(directory, 'list.csv'), `name\n${many.join('\n')}\n`);
  const words = [
    'import',
    '-n',
    '30',
    '--server',
    `http://127.0.0.1:${(busy.address() as AddressInfo).port}`,
    directory,
  ];
  const ended = await node.command(...words);
  t.match(ended, { status: 1, stdout: '' }, 'a node that takes none of many files ends it, too');
  t.equal(ended.stderr.split('\n').filter((line) => /sub\//.test(line)).length < 60, true, ended.stderr);
});

t.test('an import of addresses goes on after those that fail', async (t) => {
  const node = await TestNode.start(t, { env: { FIDFS_MAX_FILE_SIZE: '1MiB' } });
  const asked = new Map<string, number>();
  const answers: Record<string, (answer: ServerResponse, count: number) => void> = {
    '/good.png': (answer) => answer.end('good'),
    '/typed?x=1': (answer) => answer.writeHead(200, { 'content-type': 'image/jpeg' }).end('typed'),
    '/moved.txt': (answer) => answer.writeHead(302, { location: '/good.png' }).end(),
    '/loop': (answer) => answer.writeHead(302, { location: '/loop' }).end(),
    '/away': (answer) => answer.writeHead(302, { location: 'file:///etc/passwd' }).end(),
    '/flaky.txt': (answer, count) => answer.writeHead(count < 3 ? 503 : 200).end('flaky'),
    '/torn.txt': (answer, count) => {
      answer.writeHead(200, { 'content-length': 9 }).write('tor');
      if (count === 1) setTimeout(() => answer.destroy(), 100);
      else answer.end('n file');
    },
    '/large': (answer) => answer.end(Buffer.alloc(1_100_000)),
    '/endless': (answer) => {
      const timer = setInterval(() => answer.write(Buffer.alloc(200_000)), 20);
      answer.once('close', () => clearInterval(timer));
    },
    '/silent': () => undefined,
    '/gzip': (answer) => answer.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
  };
  const server = createServer(({ url = '' }: IncomingMessage, answer) => {
    const count = (asked.get(url) ?? 0) + 1;
    asked.set(url, count);
    const act = answers[url];
    if (url.startsWith('/chain')) answer.writeHead(301, { location: `${url}n` }).end();
    else if (act) act(answer, count);
    else answer.writeHead(404).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const good = ['/good.png', '/typed?x=1', '/moved.txt', '/flaky.txt', '/torn.txt'].map((path) => origin + path);
  const bad = ['/loop', '/chain', '/away', '/large', '/endless', '/silent', '/gzip', '/none'].map(
    (path) => origin + path,
  );
  bad.push('ftp://127.0.0.1/x', 'file:///etc/passwd', 'nonsense', 'http://user:pass@127.0.0.1/');
  const list = join(node.directory, 'urls.txt');
  writeFileSync(list, `${[...bad, ...good, good[0]].join('\r\n')}\n\n`);
  const { status, stdout, stderr } = await node.command('import', '--urls', list, '--timeout', '300ms', '-n', '16');
  t.equal(status, 1);
  t.match(stdout, new RegExp(`^5 files imported; .* ${bad.length} failed\\n$`));
  const lines = stderr.trim().split('\n');
  t.strictSame(new Set(lines.map((line) => line.slice(7).split(': ')[0])), new Set(bad), stderr);
  t.match(stderr, /\/loop: is redirected to itself\n[\s\S]*\/chain: more than 5 redirections\n/);
  t.match(stderr, /\/large: has more than 1\.0 MiB \(maxFileSize\)\n/);
  t.match(stderr, /\/endless: has more than 1\.0 MiB \(maxFileSize\)\n/);
  t.match(stderr, /\/none: the server answers 404\n/);
  t.equal(asked.get('/none'), 1, 'not asked for again');
  t.equal([...asked.keys()].filter((path) => path.startsWith('/chain')).length, 6);
  const ids = new Map(read(`${list}.map.csv`) as [string, string][]);
  t.strictSame(new Set(ids.keys()), new Set(good));
  const contents = await Promise.all(good.map(async (url) => String((await node.get(ids.get(url) ?? '')).body)));
  t.strictSame(contents, ['good', 'typed', 'good', 'flaky', 'torn file']);
  t.match(ids.get(good[1] ?? ''), /\.jpg$/);
  t.equal(await listed(node), 5);

  writeFileSync(list, `${good.join('\n')}\n`);
  const again = await node.command('import', '--urls', list);
  t.match(again, { status: 0, stdout: /^0 files imported; 5 were in/ });
});
