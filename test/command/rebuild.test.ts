import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { scratch } from '../helpers/mounts.js';
import { TestNode } from '../helpers/node.js';

/** The name of a foreign file, created by FastDFS. */
const FOREIGN = 'CkIAAWsCjoiAGm2MAAAD6CKJ0IA746.txt';

// Seen to fail (status 0, and a marker in the empty directory) without assertThere; each part without that part of it.
t.test('rebuild takes no empty directory for a store path, unless it is told that the disk is new', async (t) => {
  const directory = scratch(t);
  const [first, second, third] = ['first', 'second', 'third'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  const node = await TestNode.start(t, { directory, env: { FIDFS_STORE_PATHS: `${first},${second}` } });
  const { id } = await node.upload(Buffer.from('kept'));
  await node.stop();
  const unmount = () => {
    renameSync(second, `${second}-away`);
    mkdirSync(second);
  };
  const mount = () => {
    rmSync(second, { recursive: true });
    renameSync(`${second}-away`, second);
  };
  const assertRefused = async (root: string, what: string) => {
    const { status, stdout, stderr } = await node.command('rebuild');
    t.match({ status, stdout }, { status: 1, stdout: '' }, what);
    const words = `the store path ${root}: fidfs-store-path is missing; is the disk mounted? If it is new and empty, say so: fidfs rebuild --new-disk ${root}`;
    t.match(stderr, words, what);
  };
  const index = join(node.data, 'index.db');
  const before = readFileSync(index);

  unmount();
  await assertRefused(second, 'an empty one');
  t.strictSame(readdirSync(second), [], 'nothing is made there');
  t.ok(readFileSync(index).equals(before), 'the index is what it was');
  mkdirSync(join(second, 'data/00/00'), { recursive: true });
  writeFileSync(join(second, 'data/00/00', FOREIGN), 'below the mount point');
  await assertRefused(second, 'one with files, where the index knows another');

  const lose = () => {
    for (const file of readdirSync(node.data)) if (file.startsWith('index.db')) rmSync(join(node.data, file));
  };
  lose();
  rmSync(join(second, 'data'), { recursive: true });
  await assertRefused(second, 'an empty one, with the index lost');
  rmSync(second, { recursive: true });
  await assertRefused(second, 'one that is not there');
  mkdirSync(second);

  mount();
  t.match(await node.command('rebuild'), { status: 0, stdout: /^1 file,/ }, 'with the disk in its place');
  await node.start();
  t.equal((await node.get(id)).status, 200);
  await node.assertClean(t);
  await node.stop();

  unmount();
  t.match(await node.command('rebuild', '--new-disk', third), { status: 2, stderr: /third is not one of storePaths/ });
  t.match(await node.command('rebuild', '--new-disk', second), { status: 0, stdout: /^1 file,/ }, 'a new disk');
  await node.start();
  t.match(await node.command('status'), { status: 0, stdout: /All is well/ });
  await node.stop();

  // A store path of FastDFS has no marker.
  mkdirSync(join(third, 'data/0E/FB'), { recursive: true });
  writeFileSync(join(third, 'data/0E/FB', FOREIGN), 'of FastDFS');
  node.configure({ FIDFS_STORE_PATHS: `${first},${second},${third}` });
  t.match(await node.command('rebuild'), { status: 0, stdout: /1 foreign file left alone/ });
});
