import { appendFileSync, statSync } from 'node:fs';
import t from 'tap';
import { idOf, WireClient } from '../helpers/fastdfs-client.js';
import { startWireNode } from '../helpers/fastdfs-node.js';

t.test('an appender is appended to, modified, truncated, and made a normal file', async (t) => {
  const { node, client } = await startWireNode(t);
  const id = await client.upload(Buffer.from('hello'), 'log', { command: 23 });
  const read = async () => (await client.download(id)).body.toString();
  t.equal((await client.append(id, Buffer.from(' world'))).status, 0);
  t.equal(await read(), 'hello world');
  t.equal((await client.modify(id, 6, Buffer.from('W'))).status, 0);
  t.equal(await read(), 'hello World');
  t.equal((await client.modify(id, 11, Buffer.from('!'))).status, 0, 'at the end: it grows');
  t.equal(await read(), 'hello World!');
  t.equal((await client.modify(id, 10, Buffer.from('D and more'))).status, 0, 'across the end: it grows');
  t.equal(await read(), 'hello WorlD and more');
  t.equal((await client.modify(id, 50, Buffer.from('x'))).status, 22, 'beyond the end');
  t.equal((await client.truncate(id, 5)).status, 0);
  t.equal(await read(), 'hello');
  t.equal((await client.truncate(id, 8)).status, 0);
  t.equal(await read(), 'hello\0\0\0', 'zeros');
  const info = (await client.info(id)).body;
  t.equal(Number(info.readBigUInt64BE()), 8);
  t.equal(info.readUInt32BE(20), 0xff13b51d);
  const large = Buffer.alloc(1_500_000, '0123456789');
  t.equal((await client.append(id, large)).status, 0);
  t.strictSame((await client.download(id, 8)).body, large);
  t.equal((await client.truncate(id, 8)).status, 0);
  const renamed = await client.regenerate(id);
  t.equal(renamed.status, 0);
  const normal = idOf(renamed.body);
  t.not(normal, id);
  t.equal((await client.download(normal)).body.toString(), 'hello\0\0\0');
  t.equal((await client.download(id)).status, 2, 'the old name is gone');
  t.equal((await client.regenerate(id)).status, 2);
  t.equal((await client.append(normal, Buffer.from('x'))).status, 22, 'a normal file never changes');
  t.equal((await client.append(id, Buffer.from('x'))).status, 2);
  await node.assertClean(t);
});

t.test('appends at the same time are all there, each whole', async (t) => {
  const { node, client, storage } = await startWireNode(t);
  const id = await client.upload(Buffer.from('|'), 'log', { command: 23 });
  const clients = await Promise.all(Array.from({ length: 8 }, () => WireClient.connect(storage)));
  const replies = await Promise.all(
    clients.map(async (one, number) => {
      const statuses: number[] = [];
      for (let turn = 0; turn < 10; turn++)
        statuses.push((await one.append(id, Buffer.from(`${number}.${turn}|`))).status);
      return statuses;
    }),
  );
  for (const one of clients) one.close();
  t.ok(replies.flat().every((status) => status === 0));
  const pieces = (await client.download(id)).body
    .toString()
    .split('|')
    .filter((piece) => piece !== '');
  t.equal(pieces.length, 80);
  t.equal(new Set(pieces).size, 80);
  await node.assertClean(t);
});

// Seen to fail without the recovery of appenders at the start.
t.test('bytes behind the recorded ones, as a crash leaves them, are cut off by the start', async (t) => {
  const { node, client, storage } = await startWireNode(t);
  const id = await client.upload(Buffer.from('whole'), 'log', { command: 23 });
  t.equal((await client.append(id, Buffer.from(' piece'))).status, 0);
  await node.stop('SIGKILL');
  appendFileSync(node.pathOf(id), ' torn');
  await node.start();
  t.equal(statSync(node.pathOf(id)).size, 11);
  const again = await WireClient.connect(storage);
  t.teardown(() => again.close());
  t.equal((await again.download(id)).body.toString(), 'whole piece');
  t.equal((await again.append(id, Buffer.from('!'))).status, 0);
  t.equal((await again.download(id)).body.toString(), 'whole piece!');
  await node.assertClean(t);
});

t.test('equal contents share no bytes with an appender', async (t) => {
  const { node, client } = await startWireNode(t);
  const content = Buffer.from('the same bytes');
  const first = await client.upload(content, 'txt');
  const id = await client.upload(content, 'txt', { command: 23 });
  const second = await client.upload(content, 'txt');
  t.equal((await client.append(id, Buffer.from('!'))).status, 0);
  for (const one of [first, second]) t.strictSame((await client.download(one)).body, content);
  await node.assertClean(t);
});
