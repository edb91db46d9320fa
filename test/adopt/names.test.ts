import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { adopt } from '../helpers/adopting.js';
import { startWireNode } from '../helpers/fastdfs-node.js';
import { foreignId, putForeign } from '../helpers/fastdfs-store.js';

const MASTER = Buffer.from('the master');

/** A node on a store of FastDFS with a file and a slave of it. */
async function startWithSlave(t: Test, masterTail: string, slaveTail: string) {
  const root = join(t.testdir({}), 'fastdfs');
  const master = foreignId(MASTER, masterTail);
  const slave = master.slice(0, -masterTail.length) + slaveTail;
  const masterPath = putForeign(root, master, MASTER);
  const slavePath = putForeign(root, slave, 'thumb');
  const started = await startWireNode(t, { env: { FIDFS_STORE_PATHS: root } });
  return { ...started, master, slave, masterPath, slavePath };
}

// Seen to fail with the length alone as the mark of a slave in decodeName of file-id.ts.
for (const [masterTail, slaveTail] of [
  ['853.jpg', '853_big'],
  ['85.jpeg', '85-.jpg'],
] as const) {
  t.test(`a slave ${slaveTail} of ${masterTail}, with a name as long, is deleted without its master`, async (t) => {
    const { node, client, master, slave, masterPath, slavePath } = await startWithSlave(t, masterTail, slaveTail);
    t.equal(JSON.parse((await node.get(`/info/${slave}`)).body.toString()).kind, 'slave');
    t.equal((await client.info(slave)).body.readBigUInt64BE(), 5n, 'its own size');
    t.equal((await node.delete(slave)).status, 204);
    t.notOk(existsSync(slavePath));
    t.equal((await client.download(slave)).status, 2);
    t.equal((await client.download(master)).body.toString(), 'the master');
    t.equal((await node.command('scrub')).status, 0);
    t.ok(readFileSync(masterPath).equals(MASTER), 'the scrub left it');
    t.match((await adopt(node)).report, { files: 1, left: 0 });
    await node.assertClean(t);
  });

  t.test(`both ${slaveTail} and ${masterTail} are adopted, and deleted one by one`, async (t) => {
    const { node, client, master, slave, slavePath } = await startWithSlave(t, masterTail, slaveTail);
    t.match((await adopt(node)).report, { files: 2, left: 0 });
    t.match(await node.status(), { files: 2 });
    t.equal((await client.delete(master)).status, 0);
    t.equal((await node.command('scrub')).status, 0);
    t.equal((await client.download(slave)).body.toString(), 'thumb', 'it outlives its master, as in FastDFS');
    t.equal((await client.delete(slave)).status, 0);
    t.notOk(existsSync(slavePath));
    await node.assertClean(t);
  });

  t.test(`${slaveTail} is deleted with ${masterTail} by HTTP`, async (t) => {
    const { node, master, slave, slavePath } = await startWithSlave(t, masterTail, slaveTail);
    t.equal((await node.delete(master)).status, 204);
    t.notOk(existsSync(slavePath));
    t.equal((await node.get(slave)).status, 404);
    await node.assertClean(t);
  });
}

for (const [masterTail, slaveTail] of [
  ['853.jpg', '853.big'],
  ['85.jpeg', '851.jpg'],
  ['853.jpg', '853._sm'],
] as const) {
  // Seen to fail without `assertOnlyName` in daemon/store/deletion.ts.
  t.test(`a slave ${slaveTail} of ${masterTail} has its key: neither is deleted with the other`, async (t) => {
    const { node, client, master, slave } = await startWithSlave(t, masterTail, slaveTail);
    const assertBothStay = async () => {
      for (const id of [master, slave]) {
        t.equal((await client.delete(id)).status, 22);
        const { status, body } = await node.delete(id);
        t.equal(status, 400);
        t.match(JSON.parse(body.toString()).detail, /has the same key/);
      }
      t.equal((await client.download(master)).body.toString(), 'the master');
      t.equal((await node.get(slave)).body.toString(), 'thumb');
    };
    await assertBothStay();
    const { report } = await adopt(node);
    t.match(report, { files: 1, left: 1, problems: [{ id: slave }] });
    await assertBothStay();
    t.match((await adopt(node)).report, { files: 0, left: 1 });
  });
}

// Seen to fail without the content as a condition of `discard` in daemon/replication/scrub.ts.
t.test('the scrub removes the deleted file that came back, and leaves another one with its key', async (t) => {
  const root = join(t.testdir({}), 'fastdfs');
  const master = foreignId(MASTER, '853.jpg');
  const masterPath = putForeign(root, master, MASTER);
  const { node, client } = await startWireNode(t, { env: { FIDFS_STORE_PATHS: root } });
  t.equal((await client.delete(master)).status, 0);
  putForeign(root, master, MASTER);
  const slavePath = putForeign(root, master.replace('.jpg', '.big'), 'thumb');
  await node.command('scrub');
  t.notOk(existsSync(masterPath));
  t.equal(readFileSync(slavePath, 'utf8'), 'thumb');
  t.match(JSON.stringify(await node.status()), /a file with its key was deleted/);
});

// Seen to fail without `coming` in daemon/store/adopter.ts.
t.test('of two files with one key in one batch the second is left and named', async (t) => {
  const root = join(t.testdir({}), 'fastdfs');
  const one = foreignId(MASTER, '853.jpg');
  const other = one.replace('.jpg', '.big');
  for (const id of [one, other]) putForeign(root, id, MASTER);
  const { node } = await startWireNode(t, { env: { FIDFS_STORE_PATHS: root } });
  const { report } = await adopt(node);
  t.match(report, { files: 1, left: 1, problems: [{ reason: /has the same key/ }] });
  t.match(await node.status(), { files: 1 });
  await node.assertClean(t);
});

// Seen to fail with names alone compared in daemon/store/foreign.ts and daemon/store/adopter.ts.
t.test('a file with the same name in another directory is left and named', async (t) => {
  const root = join(t.testdir({}), 'fastdfs');
  const one = foreignId(MASTER, '853.jpg');
  const other = one.replace('/00/00/', '/00/01/');
  for (const id of [one, other]) putForeign(root, id, MASTER);
  const { node } = await startWireNode(t, { env: { FIDFS_STORE_PATHS: root } });
  const { report } = await adopt(node);
  // Directories are read at the same time: either place may get the record.
  const left = report.problems[0]?.id === one ? one : other;
  const recorded = left === one ? other : one;
  t.match(report, { files: 1, left: 1, problems: [{ id: left, reason: `it is recorded as ${recorded.slice(7)}` }] });
  t.match((await adopt(node)).report, { files: 0, left: 1, problems: [{ id: left }] });
  t.equal((await node.get(left)).status, 200);
  await node.assertClean(t);
});
