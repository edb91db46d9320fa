import { existsSync } from 'node:fs';
import t from 'tap';
import { createCluster, startAll } from '../helpers/cluster.js';
import { idOf, WireClient } from '../helpers/fastdfs-client.js';
import { startWireNode } from '../helpers/fastdfs-node.js';
import { freePort } from '../helpers/ports.js';

t.test('a slave has the name of its master with a prefix, and its own bytes', async (t) => {
  const { node, client } = await startWireNode(t);
  const master = await client.upload(Buffer.from('the master'), 'jpg');
  const reply = await client.uploadSlave(master, '_150x150', 'jpg', Buffer.from('small'));
  t.equal(reply.status, 0);
  const slave = idOf(reply.body);
  t.equal(slave, master.replace(/\.jpg$/, '_150x150.jpg'));
  t.equal((await client.download(slave)).body.toString(), 'small');
  t.equal((await node.get(slave)).body.toString(), 'small', 'by HTTP');
  t.equal((await client.uploadSlave(master, '_150x150', 'jpg', Buffer.from('other'))).status, 17, 'the name is taken');
  t.equal((await client.uploadSlave(master, '', 'jpg', Buffer.from('x'))).status, 22, 'a prefix is needed');
  t.equal((await client.uploadSlave(master, '-m', '', Buffer.from('x'))).status, 22, 'metadata is no slave');
  t.equal((await client.uploadSlave(master, '/../x', '', Buffer.from('x'))).status, 22);
  const info = (await client.info(slave)).body;
  t.equal(Number(info.readBigUInt64BE()), 5);
  t.equal((await client.delete(master)).status, 0);
  t.equal((await client.download(slave)).body.toString(), 'small', 'it outlives its master, as in FastDFS');
  t.equal((await client.uploadSlave(master, '_x', '', Buffer.from('x'))).status, 2, 'the master is deleted');
  t.equal((await client.delete(slave)).status, 0);
  t.equal((await client.download(slave)).status, 2);
  await node.assertClean(t);
});

t.test('metadata is set, merged, removed and gone with its file', async (t) => {
  const { node, client } = await startWireNode(t);
  const id = await client.upload(Buffer.from('a file'), 'txt');
  t.equal((await client.getMetadata(id)).status, 2, 'there is none');
  t.equal((await client.setMetadata(id, { width: '160', height: '80' })).status, 0);
  t.equal((await client.getMetadata(id)).body.toString(), 'height\x0280\x01width\x02160', 'sorted by name');
  t.equal((await client.setMetadata(id, { width: '320', a: '1' }, 'M')).status, 0);
  t.equal((await client.getMetadata(id)).body.toString(), 'a\x021\x01height\x0280\x01width\x02320');
  t.equal((await node.get(`${id}-m`)).status, 404, 'never by HTTP');
  t.equal((await client.setMetadata(id, { a: '1' }, 'X')).status, 22);
  t.equal((await client.setMetadata(`${id.slice(0, -3)}png`, { a: '1' })).status, 2, 'there is no such file');
  t.equal((await client.setMetadata(id, {})).status, 0, 'empty metadata removes it');
  t.equal((await client.getMetadata(id)).status, 2);
  t.equal((await client.setMetadata(id, { a: '1' })).status, 0);
  t.equal((await client.delete(id)).status, 0);
  t.equal((await client.getMetadata(id)).status, 2);
  t.notOk(existsSync(`${node.pathOf(id)}-m`), 'gone with its file');
  await node.assertClean(t);
});

// Seen to fail with `isHere` of daemon/operations/metadata.ts always true.
t.test('metadata of a file of another group is asked for and changed at its nodes', async (t) => {
  const ports = await Promise.all([freePort(), freePort()]);
  const nodes = await createCluster(t, { groups: ['group1', 'group2'] });
  for (const [number, node] of nodes.entries()) node.configure({ FIDFS_FASTDFS_STORAGE: `127.0.0.1:${ports[number]}` });
  await startAll(nodes);
  const client = await WireClient.connect(ports[0] as number);
  const elsewhere = await WireClient.connect(ports[1] as number);
  t.teardown(() => {
    client.close();
    elsewhere.close();
  });
  const id = await client.upload(Buffer.from('a file'), 'txt');
  t.equal((await elsewhere.setMetadata(id, { a: '1' })).status, 0);
  t.equal((await client.getMetadata(id)).body.toString(), 'a\x021');
  t.equal((await elsewhere.getMetadata(id)).body.toString(), 'a\x021');
  t.equal((await elsewhere.download(id)).body.toString(), 'a file');
  t.equal((await elsewhere.setMetadata(id.replace('.txt', '.png'), { a: '1' })).status, 2);
  await nodes[0]?.stop();
  t.equal((await elsewhere.getMetadata(id)).status, 16, 'not 2: the file may exist');
});
