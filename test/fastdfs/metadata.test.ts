import t from 'tap';
import { createLinkedCluster, holds, ready, startAll } from '../helpers/cluster.js';
import { number, padded, type WireClient } from '../helpers/fastdfs-client.js';
import { serveWire, startWire } from '../helpers/fastdfs-server.js';
import type { TestNode } from '../helpers/node.js';

async function metadataOf(client: WireClient, id: string): Promise<string> {
  const { body } = await client.getMetadata(id);
  return body.toString().replaceAll('\x01', '|').replaceAll('\x02', '=');
}

// Seen to fail (a lost) without changerOfHere() in metadata.ts of the operations.
t.test('merges by two nodes keep all names', async (t) => {
  const { nodes, links } = await createLinkedCluster(t, { groups: ['group1', 'group1'], env: { FIDFS_COPIES: '1' } });
  const [source, other] = nodes as [TestNode, TestNode];
  const [own, second] = [await serveWire(t, source), await serveWire(t, other)];
  await startAll(nodes);
  const [first, client] = [await own.toStorage(), await second.toStorage()];
  const id = await first.upload(Buffer.from('a file'));
  await holds(other, [id]);
  // The source makes no change for the other before it has compared everything with it.
  for (const node of nodes) await ready(node);

  // Seen to fail without arrival().
  await t.test('and the node that was asked has them when it answers', async (t) => {
    for (let round = 0; round < 10; round++) {
      t.equal((await client.setMetadata(id, { round: String(round) }, 'O')).status, 0);
      t.equal(await metadataOf(client, id), `round=${round}`);
    }
  });

  await t.test('also when the changes of one reach the other late', async (t) => {
    // The source does not fetch what the other node has.
    links(0, 1).set('silent');
    t.equal((await client.setMetadata(id, { a: '1' }, 'O')).status, 0);
    t.equal((await client.setMetadata(id, { b: '2' }, 'M')).status, 0);
    t.equal((await first.setMetadata(id, { c: '3' }, 'M')).status, 0);
    t.equal(await metadataOf(first, id), 'a=1|b=2|c=3');
    links(0, 1).set('up');
    await other.until(async () => (await metadataOf(client, id)) === 'a=1|b=2|c=3', 'in possession of all');
  });

  await t.test('and a node that is down does not hinder them', async (t) => {
    await source.stop();
    t.equal((await client.setMetadata(id, { d: '4' }, 'M')).status, 0);
    t.equal(await metadataOf(client, id), 'a=1|b=2|c=3|d=4');
  });
});

// Seen to fail (200, U+FFFD, one of the values) without `fatal`, and without the question whether there is such a name.
t.test('metadata that JSON cannot hold is refused by HTTP, and unchanged by the protocol', async (t) => {
  const wire = await startWire(t);
  const client = await wire.toStorage();
  const id = await client.upload(Buffer.from('a file'));
  const name = Buffer.from(id.slice(id.indexOf('/') + 1));
  for (const [metadata, status] of [
    [Buffer.from('name\x02\xc4\xe3\xba\xc3', 'latin1'), 406],
    [Buffer.from('\xc4\xe3\x02value', 'latin1'), 406],
    [Buffer.from('name\x021\x01name\x022'), 406],
    [Buffer.from('name\x02\ufeff\ufffd'), 200],
  ] as const) {
    const fields = [number(name.length), number(metadata.length), Buffer.from('O'), padded('group1', 16)];
    t.equal((await client.ask(13, Buffer.concat([...fields, name, metadata]))).status, 0);
    const answer = await wire.node.get(`/metadata/${id}`, wire.node.authorized());
    t.equal(answer.status, status);
    if (status === 200) t.strictSame(JSON.parse(answer.body.toString()), { name: '\ufeff\ufffd' });
    else t.match(answer.body.toString(), /urn:fidfs:problem:not-json/);
    t.ok((await client.getMetadata(id)).body.equals(metadata));
  }
});
