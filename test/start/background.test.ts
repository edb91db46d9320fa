import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { createCluster, ready, startAll } from '../helpers/cluster.js';
import type { TestNode } from '../helpers/node.js';

// Seen to fail (the daemon exits repeatedly) with the errors not caught in Fetcher.due, and with those not caught in
// Cluster.writeFile, where the other node also counted as down.
t.test('what fails in the background is said once and tried again, and the daemon lives', async (t) => {
  const nodes = (await createCluster(t, { groups: ['group1', 'group1'] })) as [TestNode, TestNode];
  const [a, b] = nodes;
  await startAll(nodes);
  const pid = a.daemonPid();
  const times = (text: string) => a.log.split(text).length - 1;

  const index = new Database(join(a.data, 'index.db'));
  index.exec('ALTER TABLE missing RENAME TO away');
  await a.until(() => times('does not say what is missing') > 0, 'aware of it');
  index.exec('ALTER TABLE away RENAME TO missing');
  index.close();
  await ready(a);

  // A directory in place of the temporary file makes the write fail.
  const file = join(a.data, 'nginx/cluster/group1.json');
  const inTheWay = `${file}.new`;
  mkdirSync(inTheWay);
  await b.stop();
  await a.until(() => times('could not be told which nodes are up') > 0, 'aware of it');
  await b.start();
  await ready(b);
  await a.until(async () => (await a.post('bytes')).status === 201, 'at work with the other node');
  rmdirSync(inTheWay);
  const isTold = () =>
    Object.values(JSON.parse(readFileSync(file, 'utf8')).nodes as { up: boolean }[]).every(({ up }) => up);
  await a.until(isTold, 'telling nginx again');
  t.equal(a.daemonPid(), pid, 'it is the same process');
  t.equal(times('does not say what is missing'), 1);
  t.equal(times('could not be told which nodes are up'), 1);
});
