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
    t.match(JSON.parse((await node.command('status', '--json')).stdout), { files: 2 });
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
