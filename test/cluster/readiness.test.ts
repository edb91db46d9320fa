import t from 'tap';
import { createCluster, holds, ready, startAll } from '../helpers/cluster.js';
import type { TestNode } from '../helpers/node.js';
import { proxyBetween } from '../helpers/peer-proxy.js';

// Seen to fail (200) without hasCompared in Readiness.lag.
t.test('a node that follows every log is not ready before it has compared everything', async (t) => {
  const nodes = await createCluster(t, { groups: ['group1', 'group1'], env: { FIDFS_COPIES: '1' } });
  const [a, b] = nodes as [TestNode, TestNode];
  let release: () => void = () => {};
  let released: Promise<void> = Promise.resolve();
  await proxyBetween(t, b, a, async (url, body) => {
    if (url.includes('/inventory?') && url.includes('of=all')) await released;
    return body;
  });
  await startAll(nodes);
  await a.upload(Buffer.from('before'));
  // Now b has a cursor, from which it continues after the restart.
  const backlog = async () => (await a.status()).peers[0]?.backlog;
  await a.until(async () => (await backlog()) === 0, 'followed');
  await b.stop();
  released = new Promise((resolve) => {
    release = resolve;
  });
  await b.start();
  // Two uploads: when b holds the second, it has processed the page of the first and set `caughtUp`.
  for (const content of ['one', 'two']) await holds(b, [(await a.upload(Buffer.from(content))).id]);
  const { status, body } = await b.get('readyz');
  t.equal(status, 503);
  t.match(body.toString(), /it has not yet had everything of node 1 since its start/);
  release();
  await ready(b);
});
