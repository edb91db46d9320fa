import t from 'tap';
import { createCluster } from '../helpers/cluster.js';
import { serveWire } from '../helpers/fastdfs-server.js';
import type { TestNode } from '../helpers/node.js';
import { proxyBetween } from '../helpers/peer-proxy.js';

// Seen to fail with the connection closed, instead of a status, after an error of the first part.
t.test(
  'a download of a file that is deleted after the peer was asked for it is "not found", not a closed connection',
  async (t) => {
    const [source, entrance] = (await createCluster(t, { groups: ['group1', 'group2'] })) as [TestNode, TestNode];
    const wire = await serveWire(t, entrance);
    let id: string | undefined;
    await proxyBetween(t, entrance, source, async (url, body) => {
      // The first request is the HEAD of the entrance.
      if (id === undefined || !url.endsWith(id)) return body;
      await source.delete(id);
      await source.until(async () => (await source.get(id as string)).status === 404, 'rid of the file');
      return body;
    });
    await Promise.all([source.start(), entrance.start()]);
    const client = await wire.toStorage();
    const uploaded = (await source.upload(Buffer.from('short-lived'))).id;
    await entrance.until(async () => (await entrance.get(uploaded)).status === 200, 'connected with the other group');
    id = uploaded;
    t.equal((await client.download(uploaded)).status, 2);
    t.equal((await client.download(uploaded)).status, 2, 'and the connection goes on');
  },
);
