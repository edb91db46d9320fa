import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { createCluster, holds, ready, startAll } from '../helpers/cluster.js';
import { filesOn } from '../helpers/disk.js';
import { named, padded } from '../helpers/fastdfs-client.js';
import { brokenAt, WireLoad } from '../helpers/fastdfs-load.js';
import { serveWire, type WireServer } from '../helpers/fastdfs-server.js';
import { seeded } from '../helpers/random.js';

const IPV4_LENGTH = 15;

/** A query's answer: the status, the group and the ports of the servers named. */
interface Named {
  status: number;
  group: string;
  ports: number[];
}

/** Asks a tracker which servers take an upload (101, 104, 106, 107) or have a file (102, 103, 105). */
async function query(server: WireServer, command: number, body?: Buffer): Promise<Named> {
  const tracker = await server.toTracker();
  const { status, body: reply } = await tracker.ask(command, body);
  tracker.close();
  const ports: number[] = [];
  for (let at = 16; at + IPV4_LENGTH + 8 <= reply.length; at += IPV4_LENGTH + 8) {
    ports.push(Number(reply.readBigUInt64BE(at + IPV4_LENGTH)));
  }
  return { status, group: reply.toString('latin1', 0, 16).replace(/\0.*/, ''), ports };
}

/** The same, once the answer is as wanted; otherwise with the last answer. */
async function soon(
  server: WireServer,
  command: number,
  body: Buffer | undefined,
  isWanted: (found: Named) => boolean,
) {
  let found = await query(server, command, body);
  const isThere = async () => {
    found = await query(server, command, body);
    return isWanted(found);
  };
  await server.node.until(isThere, 'as wanted', 15).catch(() => {});
  return found;
}

async function startServers(t: Test, groups: string[], env: Record<string, string>): Promise<WireServer[]> {
  const nodes = await createCluster(t, { groups, env });
  const servers: WireServer[] = [];
  for (const node of nodes) servers.push(await serveWire(t, node));
  return servers;
}

t.test('three nodes, two groups', async (t) => {
  const servers = await startServers(t, ['group1', 'group1', 'group2'], { FIDFS_COPY_TIMEOUT: '3s' });
  const [a, b, c] = servers as [WireServer, WireServer, WireServer];
  c.node.configure({ FIDFS_COPIES: '1' });
  await startAll(servers.map(({ node }) => node));
  const [group1, group2, none] = ['group1', 'group2', 'none'].map((group) => padded(group, 16));
  const isTwo = ({ ports }: Named) => ports.length === 2;

  await t.test('the tracker names those that take uploads, the node itself first', async (t) => {
    for (const server of servers) await soon(server, 107, group1, isTwo);
    t.strictSame(await query(a, 107, group1), { status: 0, group: 'group1', ports: [a.storagePort, b.storagePort] });
    t.strictSame(await query(b, 107, group1), { status: 0, group: 'group1', ports: [b.storagePort, a.storagePort] });
    t.strictSame((await query(c, 107, group1)).ports.sort(), [a.storagePort, b.storagePort].sort());
    t.strictSame((await query(a, 104, group1)).ports, [a.storagePort]);
    t.strictSame((await query(b, 104, group1)).ports, [b.storagePort]);
    for (const server of servers) {
      t.strictSame(await query(server, 104, group2), { status: 0, group: 'group2', ports: [c.storagePort] });
      t.equal((await query(server, 104, none)).status, 2);
      t.equal((await query(server, 107, none)).status, 2);
    }
    const seen = new Set<string>();
    for (let round = 0; round < 40; round++) {
      const { group, ports } = await query(a, 101);
      seen.add(`${group} ${ports}`);
    }
    t.strictSame([...seen].sort(), [`group1 ${a.storagePort}`, `group2 ${c.storagePort}`], 'both groups in turn');
  });

  await t.test('every node answers for every file', async (t) => {
    for (const source of servers) {
      const content = Buffer.from(`of ${source.storagePort}`);
      const id = await (await source.toStorage()).upload(content);
      for (const server of servers) {
        const client = await server.toStorage();
        t.strictSame((await client.download(id)).body, content, `${id} at ${server.storagePort}`);
        t.strictSame((await client.download(id, 3, 2)).body, content.subarray(3, 5));
        const { body } = await client.info(id);
        t.equal(Number(body.readBigUInt64BE()), content.length);
        t.equal(body.toString('latin1', 24, 33), '127.0.0.1');
        // Changes go to the source; a node that has the file names itself for downloads.
        t.strictSame((await query(server, 103, named(id))).ports, [source.storagePort], `103 at ${server.storagePort}`);
        const { ports } = await query(server, 102, named(id));
        const isOfGroup = (server === c) === (source === c);
        t.strictSame(ports, [isOfGroup ? server.storagePort : source === c ? c.storagePort : source.storagePort]);
      }
      const index = (servers.indexOf(source) + 1) % servers.length;
      const other = await (servers[index] as WireServer).toStorage();
      t.equal((await other.delete(id)).status, 0, `${id} deleted at another node`);
      for (const server of servers) {
        const client = await server.toStorage();
        // The nginx of another group may answer for a second from its cache of open files.
        const isGone = async () => (await client.download(id)).status === 2;
        await server.node.until(isGone, `rid of ${id}`, 5);
        t.equal((await client.info(id)).status, 2);
        t.equal((await client.delete(id)).status, 2);
      }
    }
  });

  await t.test('while a node is down', async (t) => {
    const id = await (await a.toStorage()).upload(Buffer.from('of group1'));
    const elsewhere = await (await c.toStorage()).upload(Buffer.from('of group2'));
    await holds(b.node, [id]);
    const before = filesOn(b.node.storePath).length;
    await a.node.stop();
    const refused = await soon(b, 104, group1, ({ status }) => status === 16);
    t.strictSame(refused, { status: 16, group: '', ports: [] }, 'no node of group1 can keep two copies');
    t.strictSame((await soon(c, 104, group1, ({ status }) => status === 16)).status, 16);
    t.strictSame((await query(b, 101)).ports, [c.storagePort], 'uploads go to the other group');
    const client = await b.toStorage();
    t.equal((await client.tryUpload(Buffer.from('one copy'))).status, 16);
    t.equal(filesOn(b.node.storePath).length, before, 'nothing is kept');
    t.equal((await client.download(id)).body.toString(), 'of group1', 'the connection goes on');
    t.strictSame((await soon(c, 103, named(id), ({ ports }) => ports[0] === b.storagePort)).ports, [b.storagePort]);
    t.equal((await (await c.toStorage()).download(id)).body.toString(), 'of group1');
    t.equal((await client.delete(id)).status, 16, 'the deletion is on one node only');
    t.equal((await client.download(id)).status, 2);

    await c.node.stop();
    for (const command of [102, 103]) {
      const gone = await soon(b, command, named(elsewhere), ({ status }) => status === 16);
      t.strictSame(gone.status, 16, `${command}: no node has it now, but it may exist`);
    }
    t.equal((await client.download(elsewhere)).status, 16);
    t.equal((await client.info(elsewhere)).status, 16);
    t.equal((await client.delete(elsewhere)).status, 16);
    t.equal((await soon(b, 104, group2, ({ status }) => status === 16)).status, 16);
    t.equal((await query(b, 101)).status, 16);

    await Promise.all([a.node.start(), c.node.start()]);
    for (const { node } of servers) await ready(node);
    t.strictSame((await soon(b, 107, group1, isTwo)).ports, [b.storagePort, a.storagePort]);
    await a.node.until(() => !a.node.hasFile(id), 'rid of the file that was deleted');
    t.equal((await client.download(elsewhere)).body.toString(), 'of group2');
  });
  for (const { node } of servers) await node.assertClean(t);
});

t.test('what status 0 promised is there after kill -9, and on the other node after the loss of one', async (t) => {
  const random = seeded(t);
  const servers = await startServers(t, ['group1', 'group1'], {});
  const [a, b] = servers as [WireServer, WireServer];
  await startAll([a.node, b.node]);
  const load = new WireLoad(a.storagePort, random);
  for (let round = 0; round < 3; round++) {
    load.start();
    // The kill must come at a random moment; this waits for nothing.
    await sleep(300 + random.below(500));
    await a.node.killDaemon();
    const before = load.count(0);
    await a.node.until(() => load.count(0) > before + 20, 'taking uploads again');
    await load.stop();
    t.strictSame(await brokenAt(a.storagePort, load.stored), []);
  }
  t.ok(load.stored.size > 100 && load.count(-1) > 0, 'the load felt it', { statuses: [...load.statuses] });
  t.strictSame(
    [...load.statuses.keys()].filter((status) => ![0, 16, -1].includes(status)),
    [],
  );
  for (const { node } of servers) await node.assertClean(t, { isKilled: true });
  load.start();
  await sleep(200 + random.below(300));
  for (const pid of a.node.pids()) process.kill(pid, 'SIGKILL');
  await load.stop();
  t.strictSame(await brokenAt(b.storagePort, load.stored), [], 'all of it is on the other node');
});
