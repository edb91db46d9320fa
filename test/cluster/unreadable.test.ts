import t from 'tap';
import { decodeLog, encodePage } from '../../daemon/replication/page.js';
import { createCluster, holds, startAll } from '../helpers/cluster.js';
import type { TestNode } from '../helpers/node.js';
import { proxyBetween } from '../helpers/peer-proxy.js';

// Seen to fail (nothing after the entry comes) if an unreadable entry or name is an error, (201) without the cursor's `from`.
t.test('an entry or a name that cannot be read stops only itself, and is not acknowledged', async (t) => {
  const env = { FIDFS_COPIES: '2', FIDFS_COPY_TIMEOUT: '6s', FIDFS_REPAIR_INTERVAL: '1s' };
  const nodes = await createCluster(t, { groups: ['group1', 'group1'], env });
  const [a, b] = nodes as [TestNode, TestNode];
  /** The ID of the file whose version is made negative; true: that of the next file. */
  let spoilt: string | boolean = false;
  await proxyBetween(t, b, a, (url, body) => {
    if (url.includes('/names?')) {
      const told = JSON.parse(body.toString());
      for (const file of told.files) {
        if (file.id === spoilt) file.version = 'none';
      }
      return Buffer.from(JSON.stringify(told));
    }
    if (!url.includes('/log?')) return body;
    const { log, contents } = decodeLog(body);
    const enclosed = [...contents.values()];
    for (const entry of log.entries) {
      if ('removed' in entry) continue;
      if (spoilt === true) spoilt = entry.id;
      if (entry.id === spoilt) Object.assign(entry, { version: 'none' });
    }
    return encodePage(log, enclosed);
  });
  await startAll(nodes);
  await b.until(async () => (await a.post(Buffer.from('before'))).status === 201, 'following');
  spoilt = true;
  const bad = await a.post(Buffer.from('bad'));
  t.equal(bad.status, 503, 'it does not count as copied');
  const { id: next } = await a.upload(Buffer.from('next'));
  t.ok(b.hasFile(next), 'the next is copied');
  t.match(b.log, /"alarm":"replication".*node 1.* cannot be read/);

  await Promise.all(nodes.map((node) => node.stop()));
  for (const node of nodes) node.configure({ FIDFS_COPIES: '1' });
  await startAll(nodes);
  spoilt = true;
  const { id } = await a.upload(Buffer.from('bad again'));
  await b.until(async () => (await b.command('status')).stdout.includes('1 file of node 1 cannot be read'), 'alarmed');
  t.equal(spoilt, id);
  const { id: another } = await a.upload(Buffer.from('another'));
  await holds(b, [another]);
  t.notOk(b.hasFile(id));
  spoilt = false;
  await holds(b, [id, another]);
  await b.until(() => b.isWell(), 'well');
});
