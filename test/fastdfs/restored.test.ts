import { readFileSync } from 'node:fs';
import t from 'tap';
import { createCluster, ready, seesAllUp, startAll } from '../helpers/cluster.js';
import { serveWire } from '../helpers/fastdfs-server.js';
import type { TestNode } from '../helpers/node.js';
import { proxyBetween } from '../helpers/peer-proxy.js';
import { Snapshot } from '../helpers/snapshot.js';

// The metadata: seen to fail (`b` lost) without assertCaughtUp() in setMetadataHere(). Seen to fail (the append is taken, and its version is that of a content without the acknowledged bytes) without the check of `lag` in
// assertAppender() of daemon/fastdfs/appenders.ts.
t.test(
  'a node put back to an older copy changes no appender, and no metadata for its peer, before it has what its peer has',
  async (t) => {
    const nodes = await createCluster(t, { groups: ['group1', 'group1'], env: { FIDFS_COPIES: '1' } });
    const [peer, source] = nodes as [TestNode, TestNode];
    const wire = await serveWire(t, source);
    const other = await serveWire(t, peer);
    let release: () => void = () => {};
    let released: Promise<void> = Promise.resolve();
    let isAsked = false;
    await proxyBetween(t, source, peer, async (url, body) => {
      if (url.includes('/inventory?')) {
        isAsked = true;
        await released;
      }
      return body;
    });
    await startAll(nodes);
    const client = await wire.toStorage();
    const id = await client.upload(Buffer.from('one'), 'log', { command: 23 });
    const snapshot = await Snapshot.take(t, source);
    t.equal((await client.append(id, Buffer.from(' two'))).status, 0);
    t.equal((await client.setMetadata(id, { b: '2' })).status, 0);
    const contentOf = (node: TestNode) => readFileSync(node.pathOf(id), 'utf8');
    await peer.until(() => peer.hasFile(id) && contentOf(peer) === 'one two', 'in possession of the append');
    const onPeer = await other.toStorage();
    await peer.until(async () => (await onPeer.getMetadata(id)).status === 0, 'in possession of the metadata');
    await source.stop();
    snapshot.putBack('everything');
    released = new Promise((resolve) => {
      release = resolve;
    });
    isAsked = false;
    await source.start();
    await source.until(() => isAsked, 'comparing');
    const again = await wire.toStorage();
    t.equal((await again.append(id, Buffer.from(' lost'))).status, 16);
    t.equal((await again.modify(id, 0, Buffer.from('O'))).status, 16);
    t.equal((await again.truncate(id, 1)).status, 16);
    t.equal((await again.regenerate(id)).status, 16);
    t.equal(contentOf(source), 'one');
    // Seen to fail without assertCaughtUp() in assertSlavesAreTaken().
    t.equal((await again.setMetadata(id, { d: '4' }, 'M')).status, 16);
    t.equal(
      (await again.uploadSlave(id, '_s', 'log', Buffer.from('of a name that the peer may have given'))).status,
      16,
    );
    await peer.until(() => seesAllUp(peer), 'aware of the source');
    t.equal((await onPeer.setMetadata(id, { c: '3' }, 'M')).status, 0);
    t.equal((await onPeer.getMetadata(id)).body.toString(), 'b\x022\x01c\x023');
    release();
    await ready(source);
    await source.until(() => contentOf(source) === 'one two', 'in possession of the append');
    t.equal((await again.append(id, Buffer.from(' three'))).status, 0);
    await peer.until(() => contentOf(peer) === 'one two three', 'told of the next');
    for (const node of nodes) await node.assertClean(t);
  },
);
