import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { scratch } from '../helpers/mounts.js';
import { TestNode } from '../helpers/node.js';

/** Two nodes with separate data directories and the same store path. */
async function twoNodes(t: Test): Promise<{ path: string; one: TestNode; other: TestNode }> {
  const directory = scratch(t);
  const path = join(directory, 'store');
  const create = (name: string, id: string) => {
    const env = { FIDFS_STORE_PATHS: path, FIDFS_SERVER_ID: id };
    return TestNode.create(t, { directory: join(directory, name), env });
  };
  const [one, other] = await Promise.all([create('one', '1'), create('other', '2')]);
  for (const node of [one, other]) mkdirSync(node.directory);
  return { path, one, other };
}

// Seen to fail (the second is ready, and "under-way" is gone) without `lock` in Disk.open, and without holderOf.
t.test(
  'a store path is used by one running node, be it empty, and whoever else names it is told by whom',
  async (t) => {
    const { path, one, other } = await twoNodes(t);
    await one.start();
    const underWay = join(path, 'tmp/under-way');
    writeFileSync(underWay, 'of the first');
    const inUse = `the store path ${path} is in use by another fidfs (process ${one.daemonPid()}); give each node store paths of its own in "storePaths" (FIDFS_STORE_PATHS)`;
    const refused = { message: new RegExp(escaped(inUse)) };
    await t.rejects(other.start(), refused, 'empty');
    t.equal(readFileSync(underWay, 'utf8'), 'of the first', 'nothing of the first was swept');
    rmSync(underWay);
    const { id } = await one.upload(Buffer.from('of the first'));
    await t.rejects(other.start(), refused, 'with files');
    t.match(
      await other.command('rebuild', '--new-disk', path),
      { status: 1, stderr: inUse },
      'nor is it rebuilt from there',
    );
    t.match(await one.command('rebuild'), { status: 1, stderr: /another fidfs process uses .*; stop it first/ });
    t.equal((await one.get(id)).status, 200);
    await one.assertClean(t);
  },
);

// Seen to fail (the last start of the first node succeeds) if the marker of the node that had the path before is kept.
t.test(
  'an empty store path can be given to another data directory, even after a kill -9, and is its own then',
  async (t) => {
    const { path, one, other } = await twoNodes(t);
    await one.start();
    const pids = one.pids();
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    await one.ended();
    await other.start();
    const { id } = await other.upload(Buffer.from('of the other'));
    await other.stop();
    await t.rejects(one.start(), /another store path is there than the index knows/);
    await other.start();
    t.equal((await other.get(id)).status, 200);
    await other.stop();
    // A third node: the first one without its index.
    rmSync(one.data, { recursive: true });
    await t.rejects(one.start(), {
      message: new RegExp(`${escaped(path)}: it holds files that the index does not know`),
    });
  },
);

// Seen to fail (a lock file in the mount point) if Disk.open locks before it checks the marker.
t.test('where the disk of a store path is missing, nothing is left in its place', async (t) => {
  const { path, one } = await twoNodes(t);
  await one.start();
  await one.stop();
  const away = `${path}-away`;
  renameSync(path, away);
  mkdirSync(path);
  await one.start();
  t.match(one.log, /has started on .*, but is not ready: .*fidfs-store-path is missing/);
  t.strictSame(readdirSync(path), []);
  await one.stop();
  rmSync(path, { recursive: true });
  renameSync(away, path);
  await one.start();
  t.equal((await one.get('/readyz')).status, 200);
  t.ok(existsSync(join(path, 'lock')));
});

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
