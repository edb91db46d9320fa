import { readFileSync } from 'node:fs';
import t from 'tap';
import { createLinkedCluster, ready, startAll } from '../helpers/cluster.js';
import { serveWire } from '../helpers/fastdfs-server.js';
import type { TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';

const SIZE = 2 * 2 ** 20;

t.test('of a file that was appended to, a node fetches only the rest', async (t) => {
  const random = seeded(t);
  const { nodes, links } = await createLinkedCluster(t, { groups: ['group1', 'group1'], env: { FIDFS_COPIES: '1' } });
  const [source, other] = nodes as [TestNode, TestNode];
  const wire = await serveWire(t, source);
  await startAll(nodes);
  await ready(source);
  const client = await wire.toStorage();
  const link = links(1, 0);
  let content = random.bytes(SIZE);
  const id = await client.upload(content, 'log', { command: 23 });
  const isCopied = () => other.hasFile(id) && readFileSync(other.pathOf(id)).equals(content);
  await other.until(isCopied, 'copied');

  // Seen to fail (2 MiB) with `copyEarlier` always false.
  await t.test('after an append', async (t) => {
    const before = link.bytes;
    const piece = random.bytes(100_000);
    content = Buffer.concat([content, piece]);
    t.equal((await client.append(id, piece)).status, 0);
    await other.until(isCopied, 'copied again');
    t.ok(link.bytes - before < SIZE / 2, `${link.bytes - before} bytes`);
  });

  // Seen to fail (never copied) without the second download.
  await t.test('but the whole, if bytes before it were changed, too', async (t) => {
    const piece = random.bytes(300_000);
    const offset = content.length - 100_000;
    t.equal((await client.modify(id, offset, piece)).status, 0);
    content = Buffer.concat([content.subarray(0, offset), piece]);
    await other.until(isCopied, 'copied again');
  });

  // Without the end of the range it takes several tries, which fail only while the file grows.
  await t.test('while it is appended to all the time', async () => {
    const started = await client.upload(random.bytes(30 * SIZE), 'log', { command: 23 });
    let isOver = false;
    const appending = (async () => {
      while (!isOver) await client.append(started, random.bytes(1000));
    })();
    try {
      await other.until(() => other.hasFile(started), 'copied');
    } finally {
      isOver = true;
      await appending;
    }
    const last = () => readFileSync(source.pathOf(started));
    await other.until(() => readFileSync(other.pathOf(started)).equals(last()), 'copied again');
  });
  for (const node of nodes) await node.assertClean(t);
});
