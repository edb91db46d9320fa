import t from 'tap';
import type { Status } from '../../daemon/status.js';
import { startCluster } from '../helpers/cluster.js';
import type { TestNode } from '../helpers/node.js';

// Seen to fail (the numbers of a second before) without lookAtAll for /status.
t.test('a status right after an upload shows the copies that its 201 promised', async (t) => {
  const [node] = (await startCluster(t, { groups: ['group1', 'group1'] })) as [TestNode, TestNode];
  const files: unknown[] = [];
  for (let count = 1; count <= 5; count++) {
    await node.upload(Buffer.from(`file ${count}`));
    // The request of the command, without the time that its process takes to start.
    const { body } = await node.request('/status', {
      method: 'GET',
      headers: node.authorized(),
      origin: `http://127.0.0.1:${node.daemonPort}`,
    });
    const status: Status = JSON.parse(body.toString());
    files.push([status.files, status.peers[0]?.hello?.files]);
  }
  t.strictSame(
    files,
    [1, 2, 3, 4, 5].map((count) => [count, count]),
  );
});
