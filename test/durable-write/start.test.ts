import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { cannotMount, mountTmpfs, scratch } from '../helpers/mounts.js';
import { TestNode } from '../helpers/node.js';

function places(t: Test): { directory: string; first: string; second: string } {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return { directory, first: join(directory, 'first'), second: join(directory, 'second') };
}

/** The error message of a start that must fail. */
async function refusal(t: Test, directory: string, storePaths?: string): Promise<string> {
  const env: Record<string, string> = storePaths === undefined ? {} : { FIDFS_STORE_PATHS: storePaths };
  const node = await TestNode.create(t, { directory, env });
  return node.start().then(
    async () => {
      await node.stop();
      return 'it started';
    },
    (error: Error) => error.message,
  );
}

t.test('a second fidfs on the same data directory is refused', async (t) => {
  const { directory } = places(t);
  const node = await TestNode.start(t, { directory });
  t.match(await refusal(t, directory), /another fidfs process uses .*; stop it first/);
  t.equal((await node.get('/readyz')).status, 200, 'the first goes on');
});

// Seen to fail (the node starts with swapped paths, and every file is 404) without the check for WrongStorePath in daemon/main.ts.
t.test('store paths that are missing or swapped in the settings are refused', async (t) => {
  const { directory, first, second } = places(t);
  const env = { FIDFS_STORE_PATHS: `${first},${second}` };
  const node = await TestNode.start(t, { directory, env });
  const { id } = await node.upload(Buffer.from('a file'));
  await node.stop();
  // The path holds a file, although the index has no record of it.
  mkdirSync(join(second, 'data/00/00'), { recursive: true });
  writeFileSync(join(second, 'data/00/00/foreign'), '');
  t.match(
    await refusal(t, directory, first),
    /store path 1 \(.*second\) is not in storePaths any more, but it holds files/,
  );
  t.match(
    await refusal(t, directory, `${second},${first}`),
    /second: its marker says M01, its place in storePaths M00; put them in order/,
  );
  await node.start();
  t.equal((await node.get(id)).status, 200, 'with the old settings it starts again');
});

// Each of the first five seen to fail (the node started) without its check.
t.test('a store path that was added by mistake can be taken back, unless anything is there', async (t) => {
  const { directory, first, second } = places(t);
  const both = { FIDFS_STORE_PATHS: `${first},${second}` };
  const node = await TestNode.start(t, { directory, env: { FIDFS_STORE_PATHS: first } });
  const { id } = await node.upload(Buffer.from('on the first'));
  await node.stop();
  node.configure(both);
  await node.start();
  await node.stop();
  const away = `${second}-away`;
  const change = (sql: string, ...values: unknown[]) => {
    const index = new Database(join(node.data, 'index.db'));
    index.prepare(sql).run(...values);
    index.close();
  };
  const key = Buffer.alloc(20, 1);
  for (const [what, add, remove] of [
    [
      'it holds files',
      () => writeFileSync(join(second, 'data/foreign'), ''),
      () => rmSync(join(second, 'data/foreign')),
    ],
    [
      'it holds deletions',
      () => writeFileSync(join(second, 'tombstones'), key),
      () => truncateSync(join(second, 'tombstones')),
    ],
    ['it is not there', () => renameSync(second, away), () => renameSync(away, second)],
    [
      'it holds files',
      () => change('INSERT INTO file VALUES (?, 65536, ?, ?, NULL, NULL)', key, '0000000', Buffer.alloc(32)),
      () => change('DELETE FROM file WHERE key = ?', key),
    ],
    [
      'it holds files',
      () => renameSync(join(second, 'tombstones'), join(second, 'quarantine/x')),
      () => renameSync(join(second, 'quarantine/x'), join(second, 'tombstones')),
    ],
  ] as const) {
    add();
    t.match(await refusal(t, directory, first), `any more, but ${what}`);
    remove();
  }
  node.configure({ FIDFS_STORE_PATHS: first });
  await node.start();
  t.equal((await node.get(id)).status, 200);
  t.match((await node.command('status')).stdout, /All is well/);
  await node.stop();
  node.configure(both);
  await node.start();
  t.equal((await node.get('/readyz')).status, 200, 'and put there again');
});

for (const [what, lose] of [
  ['lost', (data: string) => unlinkIndex(data)],
  [
    'garbage',
    (data: string) => writeFileSync(join(data, 'index.db'), 'not a database, but long enough to look at'.repeat(99)),
  ],
] as const) {
  t.test(`an index that is ${what} stops the start, and "fidfs rebuild" brings everything back`, async (t) => {
    const { directory } = places(t);
    const node = await TestNode.start(t, { directory });
    const kept = await Promise.all(Array.from({ length: 20 }, (_, n) => node.upload(Buffer.from(`kept ${n}`))));
    const gone = await node.upload(Buffer.from('deleted'));
    const path = join(node.storePath, 'data', gone.id.slice('group1/M00/'.length));
    t.equal((await node.delete(gone.id)).status, 204);
    await node.stop();
    lose(node.data);
    t.match(await refusal(t, directory), /run "fidfs rebuild"/, 'it says what to do');
    // As if the unlink had been lost: the tombstone must repeat it.
    writeFileSync(path, 'deleted');
    const rebuilt = await node.command('rebuild');
    t.equal(rebuilt.status, 0, 'rebuilt', rebuilt);
    await node.start();
    const statuses = await Promise.all(kept.map(async ({ id }) => (await node.get(id)).status));
    t.strictSame(new Set(statuses), new Set([200]), 'everything is served');
    t.equal((await node.get(gone.id)).status, 404, 'what was deleted stays deleted');
    await node.assertClean(t);
  });
}

function unlinkIndex(data: string): void {
  for (const name of readdirSync(data)) if (name.startsWith('index.db')) unlinkSync(join(data, name));
}

t.test('files on another file system than their store path are refused', { skip: cannotMount() }, async (t) => {
  const directory = scratch(t);
  mountTmpfs(t, join(directory, 'data/store0/data'), 8);
  t.match(await refusal(t, directory), /data is on another file system; make that disk itself the store path/);
});

t.test('"sync": "file" and "off" work, and off is said aloud', async (t) => {
  for (const sync of ['file', 'off']) {
    const { directory } = places(t);
    const node = await TestNode.start(t, { directory, env: { FIDFS_SYNC: sync } });
    t.equal(/a power cut loses uploads that were acknowledged/.test(node.log), sync === 'off', `${sync} at start`);
    const { id } = await node.upload(Buffer.alloc(2 ** 20, sync));
    t.equal((await node.get(id)).body.length, 2 ** 20, sync);
    t.equal((await node.delete(id)).status, 204, sync);
    await node.assertClean(t);
    await node.stop();
  }
});
