import { existsSync, lstatSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startWireNode } from '../helpers/fastdfs-node.js';
import { foreignId, foreignPath, putForeign } from '../helpers/fastdfs-store.js';

/** A store of FastDFS with a file, and a function that makes a link to a path. Returns the ID of the link. */
function makeStore(t: Test) {
  const root = join(t.testdir({}), 'fastdfs');
  const target = foreignId(Buffer.from('the target'), '100.txt');
  const targetPath = putForeign(root, target, 'the target');
  let number = 100;
  const link = (to = targetPath, id = foreignId(Buffer.from('a path'), `${++number}.txt`)) => {
    symlinkSync(to, foreignPath(root, id));
    return id;
  };
  const start = () => startWireNode(t, { env: { FIDFS_STORE_PATHS: root } });
  return { root, target, targetPath, link, start };
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

// Seen to fail with `sizeOf` in daemon/store/lookup.ts.
t.test('a symbolic link is used and deleted as a file, and what it leads to stays', async (t) => {
  const { target, targetPath, link, start } = makeStore(t);
  const [byWire, byHttp] = [link(), link()];
  const out = join(mkdtempSync(join(tmpdir(), 'fidfs-test-')), 'file');
  writeFileSync(out, 'elsewhere');
  const outside = link(out);
  const { node, client } = await start();
  t.equal((await client.setMetadata(byWire, { a: '1' })).status, 0);
  t.equal((await client.getMetadata(byWire)).body.toString(), 'a\x021');
  t.equal((await client.uploadSlave(byWire, '_s', 'txt', Buffer.from('s'))).status, 0);
  for (const id of [byWire, outside]) {
    t.equal((await client.delete(id)).status, 0);
    t.equal((await client.download(id)).status, 2);
    t.equal((await client.delete(id)).status, 2);
  }
  t.equal((await node.delete(byHttp)).status, 204);
  for (const id of [byWire, byHttp, outside]) {
    t.equal((await node.get(id)).status, 404);
    t.notOk(isLink(node.pathOf(id)));
  }
  t.notOk(existsSync(`${node.pathOf(byWire)}-m`), 'its metadata is deleted with it');
  t.ok(existsSync(targetPath));
  t.ok(existsSync(out));
  t.equal((await node.get(target)).body.toString(), 'the target');
  await node.assertClean(t);
});

// Seen to fail with `sizeOf` in daemon/store/slaves.ts, and with `filesIn` in daemon/store/deletion.ts.
t.test('a slave that is a symbolic link is not replaced, and is deleted with its master', async (t) => {
  const { root, target, link, start } = makeStore(t);
  const master = foreignId(Buffer.from('the master'), '200.txt');
  putForeign(root, master, 'the master');
  const slave = link(undefined, master.replace('.txt', '_s.txt'));
  const { node, client } = await start();
  t.equal((await client.uploadSlave(master, '_s', 'txt', Buffer.from('other'))).status, 17);
  t.equal((await client.download(slave)).body.toString(), 'the target');
  t.equal((await node.delete(master)).status, 204);
  t.equal((await node.get(slave)).status, 404);
  t.notOk(isLink(node.pathOf(slave)));
  t.equal((await node.get(target)).status, 200);
  await node.assertClean(t);
});

// Seen to fail with `filesIn` in daemon/replication/scrub.ts.
t.test('a deleted symbolic link that an older copy of the disk brings back is removed by the scrub', async (t) => {
  const { targetPath, link, start } = makeStore(t);
  const id = link();
  const kept = link();
  const { node, client } = await start();
  t.equal((await client.delete(id)).status, 0);
  symlinkSync(targetPath, node.pathOf(id));
  t.equal((await node.command('scrub')).status, 0);
  t.notOk(isLink(node.pathOf(id)));
  t.ok(isLink(node.pathOf(kept)));
  await node.assertClean(t);
});

// Seen to fail without the check of `isFile`, and with ELOOP as an error, in daemon/fastdfs/open-file.ts.
t.test('directories and links that lead to themselves are no files', async (t) => {
  const { root, target, link, start } = makeStore(t);
  const directory = foreignId(Buffer.from('directory'), '300.txt');
  mkdirSync(foreignPath(root, directory));
  const loop = foreignId(Buffer.from('loop'), '301.txt');
  link(loop.split('/').pop(), loop);
  mkdirSync(`${foreignPath(root, target)}-m`);
  const { node, client } = await start();
  for (const id of [directory, loop]) {
    t.equal((await client.download(id)).status, 2);
    t.equal((await client.info(id)).status, 2);
    t.equal((await client.delete(id)).status, 2);
  }
  t.equal((await client.delete(target)).status, 0, 'a directory in place of its metadata does not prevent that');
  await node.stop();
  await node.start();
  t.equal((await node.get(target)).status, 404);
  await node.assertClean(t);
});
