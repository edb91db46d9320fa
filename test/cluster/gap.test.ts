import { createServer, request } from 'node:http';
import t from 'tap';
import { decodeLog, encodePage } from '../../daemon/replication/page.js';
import { createCluster, holds, startAll } from '../helpers/cluster.js';
import type { TestNode } from '../helpers/node.js';
import { listening } from '../helpers/ports.js';

// Seen to fail (the file never comes) without anti-entropy in Follower.compare.
t.test('a follower whose cursor lies before what is left of a log compares, and skips nothing', async (t) => {
  const nodes = await createCluster(t, { groups: ['group1', 'group1'], env: { FIDFS_COPIES: '1' } });
  const [a, b] = nodes as [TestNode, TestNode];
  let isCut = false;
  let told = 0;
  // The way from b to a. A log that is longer than its limit takes hours to make, so one page is told as if the log was truncated.
  const proxy = createServer((asked, answer) => {
    const { method, url, headers } = asked;
    const options = { host: '127.0.0.1', port: a.port, method, path: url, headers };
    const passed = request(options);
    passed.on('response', async (from) => {
      const chunks: Buffer[] = [];
      for await (const chunk of from) chunks.push(chunk as Buffer);
      let body: Buffer = Buffer.concat(chunks);
      if (isCut && url?.includes('/log?') && from.statusCode === 200) {
        const { log } = decodeLog(body);
        if (log.entries.length > 0) {
          body = encodePage({ ...log, gap: true, upTo: 0, nextTime: null, entries: [] }, []);
          isCut = false;
          told++;
        }
      }
      const { 'transfer-encoding': _, ...kept } = from.headers;
      answer.writeHead(from.statusCode ?? 502, { ...kept, 'content-length': body.length }).end(body);
    });
    passed.on('error', () => answer.destroy());
    asked.on('close', () => asked.complete || passed.destroy());
    answer.on('close', () => passed.destroy());
    asked.pipe(passed);
  });
  const port = await listening(t, proxy);
  b.configure({ FIDFS_PEERS: `1@group1=http://127.0.0.1:${port}` });
  await startAll(nodes);
  isCut = true;
  const { id } = await a.upload(Buffer.from('not in the log any more'));
  await holds(b, [id]);
  t.equal(told, 1, 'it was told of the gap');
  const { id: next } = await a.upload(Buffer.from('in the log'));
  await holds(b, [next]);
  for (const node of nodes) await node.assertClean(t);
});
