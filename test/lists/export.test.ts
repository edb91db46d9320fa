import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'; // biome-ignore format: one line
import { join } from 'node:path';
import t from 'tap';
import { COMMAND, TestNode, type Uploaded } from '../helpers/node.js';

const FILES = 700;

/** Starts a command that the test may kill. */
function begin(node: TestNode, ...words: string[]): ChildProcess {
  const env = { ...process.env, ...node.env, NODE_OPTIONS: '' };
  return spawn(process.execPath, [COMMAND, ...words], { env, stdio: 'ignore' });
}

/** Kills a command when a file has some lines. */
async function killAt(node: TestNode, child: ChildProcess, file: string, lines: number): Promise<void> {
  const ended = once(child, 'exit');
  await node.until(() => linesIn(file) > lines || child.exitCode !== null, 'under way');
  child.kill('SIGKILL');
  await ended;
}

function linesIn(file: string): number {
  try {
    return readFileSync(file, 'utf8').split('\n').length - 1;
  } catch {
    return 0;
  }
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

function uploadAll(node: TestNode, count: number): Promise<Uploaded[]> {
  return Promise.all(Array.from({ length: count }, (_, n) => node.upload(Buffer.from(`file ${n}`), '?ext=txt')));
}

// Seen to fail with each mutation of test/mutations/lists.mjs that names it.
t.test('an export has every file with its bytes, goes on after a kill, and leads nowhere else', async (t) => {
  const node = await TestNode.start(t, {
    env: { FIDFS_DOWNLOADS: 'signed', FIDFS_DOWNLOAD_KEY: 'download-key-0123456789' },
  });
  const files = await uploadAll(node, FILES);
  const [first, second] = files as [Uploaded, Uploaded];
  const large = Buffer.alloc(5_000_000, 'large');
  files.push(await node.upload(large, '?ext=bin'), await node.upload(Buffer.alloc(0)));
  files.push(await node.upload(Buffer.from('slave'), `?master=${first.id}&prefix=_s&ext=txt`));
  const metadata = { title: 'Harbour, "north"\n' };
  const put = { method: 'PUT', body: JSON.stringify(metadata), headers: node.authorized() } as const;
  await node.request(`/metadata/${second.id}`, put);
  const directory = join(node.directory, 'out');
  const list = join(directory, 'list.csv');

  await killAt(node, begin(node, 'export', directory), list, 100);
  const before = linesIn(list) - 1;
  t.ok(before >= 100 && before < files.length, `killed after ${before}`);
  const done = readFileSync(list, 'utf8').split('\n').slice(1, 11).map((row) => row.split(',')[0] ?? ''); // biome-ignore format: one line
  truncateSync(join(directory, done[0] ?? ''), 1);
  rmSync(join(directory, done[1] ?? ''));
  appendFileSync(list, 'group1/M00/00/00/AQAAAGsCiLOAAA');
  mkdirSync(join(directory, '.fidfs-parts'), { recursive: true });
  writeFileSync(join(directory, '.fidfs-parts/rest'), 'x');

  const { status, stdout, stderr } = await node.command('export', '--json', directory);
  t.equal(status, 0, stderr);
  t.match(JSON.parse(stdout), { files: files.length - before + 2, present: before - 2, failed: 0 });
  const rows = readFileSync(list, 'utf8').trim().split('\n').map((row) => row.split(',')); // biome-ignore format: one line
  t.strictSame(rows[0], ['id', 'name', 'sha256', 'size', 'created']);
  t.equal(rows.length, files.length + 1 + 2);
  const ids = new Set(files.map(({ id }) => id));
  t.strictSame(rows.slice(1).filter(([id = '']) => !ids.has(id)), [], 'no row has the rest of another one'); // biome-ignore format: one line
  for (const { id, sha256: expected, size } of files) {
    t.equal(sha256(readFileSync(join(directory, id))), expected);
    t.match(
      rows.findLast(([name]) => name === id),
      [id, id, expected, String(size)],
    );
  }
  const lines = readFileSync(join(directory, 'metadata.jsonl'), 'utf8').trim().split('\n');
  t.strictSame(JSON.parse(lines.at(-1) ?? ''), { id: second.id, metadata });
  t.strictSame(readdirSync(directory).toSorted(), ['.fidfs-lock', 'group1', 'list.csv', 'metadata.jsonl']);
  const again = await node.command('export', '--no-metadata', directory);
  t.strictSame([again.status, again.stdout], [0, `0 files, 0 B exported; ${files.length} were there; 0 failed\n`]);

  // Bytes that are not those of the list are kept nowhere.
  const bad = files[9] as Uploaded;
  writeFileSync(node.pathOf(bad.id), Buffer.alloc(bad.size, 'x'));
  rmSync(join(directory, bad.id));
  const damaged = await node.command('export', directory);
  t.match(damaged, { status: 1, stderr: new RegExp(`${bad.id}: the received bytes have another SHA-256`) });
  t.notOk(existsSync(join(directory, bad.id)));

  const outside = join(node.directory, 'outside');
  const trap = join(node.directory, 'trap');
  mkdirSync(outside);
  mkdirSync(trap);
  symlinkSync(outside, join(trap, 'group1'));
  const led = await node.command('export', trap);
  t.match(led, { status: 1, stderr: /group1 is not a directory/ });
  t.strictSame(readdirSync(outside), []);
  const own = 'name,sha256\nphoto.jpg,';
  writeFileSync(join(outside, 'list.csv'), own);
  const foreign = await node.command('export', outside);
  t.match(foreign, { status: 1, stderr: /list\.csv is there, and does not begin with "id,name,sha256,size,created"/ });
  t.equal(readFileSync(join(outside, 'list.csv'), 'utf8'), own);

  node.configure({ FIDFS_DOWNLOADS: 'open', FIDFS_DOWNLOAD_KEY: '' });
  const unsigned = await node.command('export', join(node.directory, 'unsigned'));
  t.match(unsigned, { status: 1, stderr: /downloadKey/ });
  t.equal(statSync(join(directory, first.id)).size, 6);
});
