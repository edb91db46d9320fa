import t from 'tap';
import { WireClient } from '../helpers/fastdfs-client.js';
import { TestNode } from '../helpers/node.js';
import { freePort } from '../helpers/ports.js';

t.test('a client of FastDFS stores, reads and deletes files', async (t) => {
  const [tracker, storage] = [await freePort(), await freePort()];
  const env = { FIDFS_FASTDFS_TRACKER: `127.0.0.1:${tracker}`, FIDFS_FASTDFS_STORAGE: `127.0.0.1:${storage}` };
  const node = await TestNode.start(t, { env });
  const toTracker = await WireClient.connect(tracker);
  const store = await toTracker.get(101);
  t.equal(store.length, 40);
  t.equal(store.toString('latin1', 0, 6), 'group1');
  t.equal(store.toString('latin1', 16, 25), '127.0.0.1');
  t.equal(Number(store.readBigUInt64BE(31)), storage);
  const client = await WireClient.connect(storage);
  t.teardown(() => {
    client.close();
    toTracker.close();
  });
  const content = Buffer.from('hello world');
  const id = await client.upload(content);
  t.match(id, /^group1\/M00\/00\/00\/[\w-]{27}\d{3}\.txt$/);
  t.strictSame((await node.get(id)).body, content, 'by HTTP');
  t.strictSame((await client.download(id)).body, content, 'by the wire');
  const info = (await client.info(id)).body;
  t.equal(Number(info.readBigUInt64BE()), 11);
  t.equal(info.readInt32BE(20), 0x0d4a1185);
  t.equal((await client.delete(id)).status, 0);
  t.equal((await client.delete(id)).status, 2);
  // nginx may serve it for a second from its cache of open files.
  await node.until(async () => (await node.get(id)).status === 404, 'gone by HTTP');
  const large = Buffer.alloc(3_000_000, 'abcdefg');
  const other = await client.upload(large, '');
  t.strictSame((await client.download(other)).body, large);
  t.strictSame((await client.download(other, 1_000_000, 5)).body, large.subarray(1_000_000, 1_000_005));
  await node.assertClean(t);
});
