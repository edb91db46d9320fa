import { readFileSync } from 'node:fs';
import t from 'tap';
import { temporariesOn } from '../helpers/disk.js';
import { named, number, padded, type WireClient } from '../helpers/fastdfs-client.js';
import { startWire } from '../helpers/fastdfs-server.js';

const MIB = 2 ** 20;
/** The daemon looks every 30 seconds. */
const LONGEST_SECONDS = 75;

/** Resident memory of a process, in bytes. */
function memoryOf(pid: number): number {
  return 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** Sends a byte every second until the connection ends. */
function trickle({ socket }: WireClient): void {
  const timer = setInterval(() => socket.write('x'), 1000);
  socket.on('close', () => clearInterval(timer));
}

// A single test, because all cases wait for the same minute. Seen to fail without the call of isTooSlow() in server.ts.
t.test('a client that sends or takes next to nothing is dropped; idle ones are not, and others upload', async (t) => {
  const wire = await startWire(t);
  const { node } = wire;
  const pid = node.daemonPid();
  const fields = Buffer.concat([Buffer.from([255]), number(MIB), padded('txt', 6)]);
  const begin = async (sent: number) => {
    const client = await wire.toStorage();
    client.send(11, Buffer.concat([fields, Buffer.alloc(sent)]), { length: BigInt(15 + MIB) });
    return client;
  };
  const id = await (await wire.toStorage()).upload(Buffer.alloc(64 * MIB, 'large'));
  const reading = async () => {
    const client = await wire.toStorage();
    client.socket.pause();
    client.send(14, Buffer.concat([Buffer.alloc(16), named(id)]));
    return client;
  };
  const before = memoryOf(pid);
  const dropped = {
    'nothing was sent': await wire.toStorage(),
    'nothing was sent to the tracker': await wire.toTracker(),
    'half a header': await wire.toStorage(),
    'a header and no body': await begin(0),
    'a part of the data': await begin(600_000),
    'a byte of data each second': await begin(600_000),
    'a byte of the header each 10 seconds': await wire.toStorage(),
  };
  dropped['half a header'].socket.write(Buffer.alloc(5));
  trickle(dropped['a byte of data each second']);
  const header = dropped['a byte of the header each 10 seconds'].socket;
  const timer = setInterval(() => header.write(Buffer.alloc(1)), 10_000);
  t.teardown(() => clearInterval(timer));
  const readers = await Promise.all(Array.from({ length: 5 }, reading));
  const ended = new Set<WireClient>();
  for (const client of readers) void client.socket.once('close', () => ended.add(client));
  const idle = [await wire.toStorage(), await wire.toTracker()];
  for (const client of idle) t.equal((await client.ask(111)).status, 0);
  const uploader = await wire.toStorage();
  const isOver = async () => {
    t.equal((await uploader.tryUpload(Buffer.from('of another client'))).status, 0);
    t.ok(memoryOf(pid) < before + 60 * MIB, `memory: ${memoryOf(pid) / MIB} MiB`);
    await new Promise((resolve) => setTimeout(resolve, 500));
    return Object.values(dropped).every((client) => !client.isOpen);
  };
  await node.until(isOver, 'rid of the slow ones', LONGEST_SECONDS).catch(() => {});
  t.strictSame(
    Object.entries(dropped).flatMap(([what, client]) => (client.isOpen ? [what] : [])),
    [],
    'those still open',
  );
  // What the system has buffered is received first.
  for (const client of readers) client.socket.resume();
  await node.until(() => ended.size === readers.length, 'rid of those that do not read', 30);
  for (const client of idle) t.equal((await client.ask(111)).status, 0, 'an idle connection stays');
  await node.until(() => temporariesOn(node.storePath).length === 0, 'rid of what they left');
  t.equal(node.daemonPid(), pid);
  await node.assertClean(t);
});
