import t from 'tap';
import { decodeLog, encodePage } from '../../daemon/replication/page.js';
import { createCluster, holds, ready, startAll } from '../helpers/cluster.js';
import type { TestNode } from '../helpers/node.js';
import { proxyBetween } from '../helpers/peer-proxy.js';

// Seen to fail (the file never comes) without anti-entropy in Follower.compare.
t.test('a follower whose cursor lies before what is left of a log compares, and skips nothing', async (t) => {
  const nodes = await createCluster(t, { groups: ['group1', 'group1'], env: { FIDFS_COPIES: '1' } });
  const [a, b] = nodes as [TestNode, TestNode];
  let isTruncated = false;
  let told = 0;
  // A log that exceeds LONGEST_LOG takes hours to write, so a proxy changes one page as if the log had been truncated.
  await proxyBetween(t, b, a, (url, body) => {
    if (!isTruncated || !url.includes('/log?')) return body;
    const { log } = decodeLog(body);
    if (log.entries.length === 0) return body;
    isTruncated = false;
    told++;
    return encodePage({ ...log, gap: true, upTo: 0, nextTime: null, entries: [] }, []);
  });
  await startAll(nodes);
  // b may have been ready before its peer was up.
  await ready(b);
  isTruncated = true;
  const { id } = await a.upload(Buffer.from('not in the log any more'));
  await holds(b, [id]);
  t.equal(told, 1, 'it was told of the gap');
  const { id: next } = await a.upload(Buffer.from('in the log'));
  await holds(b, [next]);
  for (const node of nodes) await node.assertClean(t);
});
