import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import t from 'tap';
import { createCluster, holds, startAll } from '../helpers/cluster.js';
import { WireClient } from '../helpers/fastdfs-client.js';
import { serveWire, startWire } from '../helpers/fastdfs-server.js';
import type { TestNode } from '../helpers/node.js';

const MIB = 2 ** 20;
const CONNECTIONS = 5000;
/** The limit of the daemon. */
const MOST = 4096;

t.test('a connection from outside of fastdfsFrom is closed without an answer', async (t) => {
  const wire = await startWire(t, { env: { FIDFS_FASTDFS_FROM: '127.0.0.2/32,10.0.0.0/8' } });
  for (const port of [wire.storagePort, wire.trackerPort]) {
    const refused = await WireClient.connect(port);
    refused.send(111);
    await refused.closed();
    await t.rejects(refused.reply());
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
    const received = new Promise<Buffer>((resolve) => socket.once('data', resolve));
    socket.write(Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 111, 0]));
    t.strictSame(await received, Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 100, 0]), 'from inside');
    socket.destroy();
  }
  await wire.node.until(() => /from outside of fastdfsFrom/.test(wire.node.log), 'telling of it in the log');
});

// Seen to fail (16) without isPeer() in addresses.ts.
t.test('other nodes are not outside of fastdfsFrom: they forward commands', async (t) => {
  const env = { FIDFS_COPIES: '1', FIDFS_FASTDFS_FROM: '127.0.0.9' };
  const nodes = await createCluster(t, { groups: ['group1', 'group1'], env });
  const [source, other] = nodes as [TestNode, TestNode];
  const [own, forwarder] = [await serveWire(t, source), await serveWire(t, other)];
  await startAll(nodes);
  const connectFrom = (port: number) => WireClient.connect(port, '127.0.0.1', '127.0.0.9');
  const [first, second] = [await connectFrom(own.storagePort), await connectFrom(forwarder.storagePort)];
  const id = await first.upload(Buffer.from('start'), 'log', { command: 23 });
  await holds(other, [id]);
  t.equal((await second.append(id, Buffer.from(' and more'))).status, 0);
  t.equal((await first.download(id)).body.toString(), 'start and more');
  first.close();
  second.close();
});

/** Resident memory of a process, in bytes. */
function memoryOf(pid: number): number {
  return 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

const limit = Number(/Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
const skip = limit < 6000 && `needs 6000 descriptors, and the limit is ${limit}`;

// Seen to fail without MOST_CONNECTIONS, and with connections closed in the order of their beginnings.
t.test('of 5,000 connections those that were idle longest are closed; uploads work', { skip }, async (t) => {
  const wire = await startWire(t);
  const { node } = wire;
  const pid = node.daemonPid();
  await node.upload(Buffer.alloc(MIB));
  const before = memoryOf(pid);
  const oldest = await wire.toStorage();
  const clients: WireClient[] = [];
  while (clients.length < CONNECTIONS) {
    clients.push(...(await Promise.all(Array.from({ length: 100 }, () => wire.toStorage()))));
    if (clients.length % 1000 === 0) t.equal((await oldest.ask(111)).status, 0);
  }
  for (let round = 0; round < 20; round++) {
    const client = await wire.toStorage();
    clients.push(client);
    const id = await client.upload(Buffer.alloc(1000, round));
    t.equal((await client.download(id)).body.length, 1000);
  }
  const open = () => clients.filter((client) => client.isOpen).length;
  await node.until(() => open() < MOST, 'rid of the others');
  t.equal(open(), MOST - 1);
  t.notOk(clients[0]?.isOpen, 'the one that was idle longest is closed');
  t.ok(oldest.isOpen, 'one that is older and in use is not');
  for (const client of clients) client.close();
  const isBack = async () => {
    // Memory is collected while requests come.
    for (let round = 0; round < 10; round++) await node.upload(Buffer.alloc(MIB, round));
    return memoryOf(pid) < before + 60 * MIB;
  };
  await node.until(isBack, 'back to its memory', 20);
  t.equal(node.daemonPid(), pid);
  await node.assertClean(t);
});
