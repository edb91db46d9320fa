import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { holds, ready } from '../helpers/cluster.js';
import { filesOn } from '../helpers/disk.js';
import { Link } from '../helpers/link.js';
import { Load } from '../helpers/load.js';
import { TestNode, uploadedOf } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';

/** Creates a node with its settings in a file; what is written takes effect with the next start or reload. */
async function createNode(t: Test, id: number) {
  const node = await TestNode.create(t, { env: { FIDFS_SERVER_ID: String(id), FIDFS_REPAIR_RATE: '1GiB/s' } });
  const file = join(node.directory, 'settings.json');
  node.configure({ FIDFS_CONFIG: file });
  const write = (settings: object) => writeFileSync(file, JSON.stringify(settings));
  write({});
  return { id, node, write };
}

type Configured = Awaited<ReturnType<typeof createNode>>;

function peersOf(...others: (Configured | { id: number; url: string })[]) {
  const peers = others.map((other) => {
    const url = 'url' in other ? other.url : other.node.origin;
    return { id: other.id, group: 'group1', url };
  });
  return { peers, peerSecret: 'peer-secret-0123456789' };
}

async function reload(t: Test, { node }: Configured, changed: string): Promise<void> {
  t.match(await node.command('reload'), { status: 0, stdout: changed, stderr: '' });
}

/** An ID of this group that no node has. */
const UNKNOWN = 'group1/M00/00/1F/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg';

t.test('nodes join, move and leave while the others run', async (t) => {
  const random = seeded(t);
  const one = await createNode(t, 1);
  const two = await createNode(t, 2);
  const three = await createNode(t, 3);
  const [a, b, c] = [one.node, two.node, three.node];
  await a.start();
  const early = await a.upload(random.bytes(3000));
  two.write(peersOf(one));
  await b.start();
  t.match(await a.get('/.fidfs/peer/hello'), { status: 404 });

  one.write(peersOf(two));
  await reload(t, one, 'taken: peers, peerSecret, copies\n');
  await b.until(async () => (await a.post(random.bytes(10))).status === 201, 'taking uploads');
  t.equal((await a.upload(random.bytes(3000))).copies, 2, 'a node alone gets a second one');
  await ready(b);
  await holds(b, [early.id]);

  const loads = [a, b].map((node) => new Load(node, random, { clients: 1, largest: 20_000 }));
  for (const load of loads) load.start();
  three.write(peersOf(one, two));
  await c.start();
  const link = await Link.open(t, () => c.port);
  one.write(peersOf(two, three));
  two.write(peersOf(one, three));
  await Promise.all([reload(t, one, 'taken: peers\n'), reload(t, two, 'taken: peers\n')]);
  t.equal((await a.get('/readyz')).status, 200, 'a node that joins does not make the others wait');
  await ready(c);
  t.equal((await c.upload(random.bytes(3000))).copies >= 2, true, 'a third one joins');
  await a.until(async () => /fidfs_peer_up\{peer="3"\} 1/.test(String((await a.get('/metrics')).body)), 'aware of it');

  one.write(peersOf(two, { id: 3, url: link.url }));
  await reload(t, one, 'taken: peers\n');
  await a.until(() => link.sent > 2000, 'asking it at another address');
  const told = () => readFileSync(join(a.data, 'nginx/cluster/group1.json'), 'utf8');
  await a.until(() => told().includes(`:${link.port}`), 'telling nginx the address');
  const moved = await c.upload(random.bytes(3000));
  await holds(a, [moved.id]);

  for (const load of loads) await load.stop();
  const stored = loads.flatMap((load) => [...load.promised().stored.keys()]);
  t.ok(stored.length > 10, `${stored.length} files`);
  for (const load of loads)
    t.strictSame(
      [...load.statuses.keys()].filter((status) => ![201, 202, 204].includes(status)),
      [],
      'none failed',
    );
  await holds(c, [...stored, early.id]);

  await c.stop();
  await a.until(async () => (await a.get(UNKNOWN)).status === 503, 'aware that a node is down');
  one.write(peersOf(two));
  two.write(peersOf(one));
  await Promise.all([reload(t, one, 'taken: peers\n'), reload(t, two, 'taken: peers\n')]);
  await a.until(async () => (await a.get(UNKNOWN)).status === 404, 'asking it no more');
  t.notMatch(String((await a.get('/metrics')).body), /peer="3"/, 'nothing is left of it in the metrics');

  await t.test('an upload that waits for a node that leaves ends with what is promised then', async (t) => {
    const frozen = b.freeze();
    const before = filesOn(a.storePath).length;
    const waiting = a.post(random.bytes(3000));
    await a.until(() => filesOn(a.storePath).length > before, 'waiting for the copy');
    one.write({ peerSecret: 'peer-secret-0123456789' });
    await reload(t, one, 'taken: peers, copies\n');
    t.match(uploadedOf(await waiting), [{ copies: 1 }]);
    for (const pid of frozen) process.kill(pid, 'SIGCONT');
    const alone = await a.upload(random.bytes(3000));
    one.write(peersOf(two));
    await reload(t, one, 'taken: peers, copies\n');
    await holds(b, [alone.id, uploadedOf(await waiting)[0]?.id as string]);
  });

  await t.test('what needs a restart is refused by name, and nothing is taken', async (t) => {
    one.write({ ...peersOf(two), copies: 1, maxFileSize: '1MiB', downloads: 'open', urlHasGroup: false });
    const refused = { status: 1, stderr: /a change of maxFileSize, urlHasGroup need a restart; nothing was taken/ };
    t.match(await a.command('reload'), refused);
    one.write({ ...peersOf(), peers: [{ id: 1, group: 'group1', url: b.origin }] });
    process.kill(a.pid, 'SIGHUP');
    await a.until(() => a.log.includes('1 is the serverId of this node itself'), 'refusing a wrong setting');
    t.match(JSON.parse((await a.command('status', '--json')).stdout || '{}'), {});
    one.write({ ...peersOf(two), copies: 1 });
    process.kill(a.pid, 'SIGHUP');
    await a.until(() => a.log.includes('"changed":["copies"]'), 'taking the others');
    t.match(await a.command('reload'), { status: 0, stdout: 'nothing has changed\n' });
  });
});
