import t from 'tap';
import { createCluster, startAll } from '../helpers/cluster.js';
import { padded } from '../helpers/fastdfs-client.js';
import { serveWire, type WireServer } from '../helpers/fastdfs-server.js';

/** Length of an address and its port in the answer of a tracker. */
const ENTRY = 15 + 8;

// Seen to fail with `isUp` and with `trouble` left out in `takers` of daemon/fastdfs/tracker.ts.
t.test('the tracker names neither nodes that are down nor those that can take no uploads', async (t) => {
  const nodes = await createCluster(t, { groups: ['group1', 'group1', 'group1'], env: { FIDFS_COPIES: '1' } });
  const servers: WireServer[] = [];
  for (const node of nodes) servers.push(await serveWire(t, node));
  const [a, b, c] = servers as [WireServer, WireServer, WireServer];
  // It takes no uploads as soon as one of the others is down.
  c.node.configure({ FIDFS_COPIES: '3' });
  await startAll(nodes);
  const tracker = await a.toTracker();
  const named = async () => {
    const reply = await tracker.get(107, padded('group1', 16));
    const ports: number[] = [];
    for (let at = 16; at + ENTRY <= reply.length; at += ENTRY) ports.push(Number(reply.readBigUInt64BE(at + 15)));
    return ports.sort();
  };
  const all = [a, b, c].map(({ storagePort }) => storagePort).sort();
  await a.node.until(async () => (await named()).length === 3, 'naming all three');
  t.strictSame(await named(), all);
  await b.node.stop();
  await a.node.until(async () => (await named()).length === 1, 'naming one', 15).catch(() => {});
  t.strictSame(await named(), [a.storagePort]);
});
