import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { filesOn, temporariesOn } from '../helpers/disk.js';
import { number, padded } from '../helpers/fastdfs-client.js';
import { brokenAt, WireLoad } from '../helpers/fastdfs-load.js';
import { serveWire, startWire } from '../helpers/fastdfs-server.js';
import { cannotMount, mountTmpfs, scratch } from '../helpers/mounts.js';
import { TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';

const MIB = 2 ** 20;

/** The fields of an upload of a file of 1 MiB, and its data. */
function upload(content = Buffer.alloc(MIB, 'a')): Buffer {
  return Buffer.concat([Buffer.from([255]), number(content.length), padded('txt', 6), content]);
}

t.test('a stop in the middle of uploads: those under way are answered, and what was answered is there', async (t) => {
  const random = seeded(t);
  const wire = await startWire(t);
  const { node } = wire;
  const load = new WireLoad(wire.storagePort, random);
  load.start();
  await node.until(() => load.count(0) > 100, 'taking uploads');
  const slow = await wire.toStorage();
  const idle = await wire.toStorage();
  const body = upload();
  slow.send(11, body.subarray(0, 600_000), { length: BigInt(body.length) });
  await node.until(() => temporariesOn(node.storePath).length > 0, 'receiving the slow one');
  const stopped = node.stop();
  await idle.closed();
  slow.socket.write(body.subarray(600_000));
  // Seen to fail (connection closed) without `counted` in server.ts.
  const { status, body: reply } = await slow.reply();
  t.equal(status, 0, 'the slow upload is answered');
  await slow.closed();
  await stopped;
  await load.stop();
  t.strictSame(
    [...load.statuses.keys()].filter((status) => ![0, 16, -1].includes(status)),
    [],
    { statuses: [...load.statuses] },
  );
  await node.start();
  t.strictSame(await brokenAt(wire.storagePort, load.stored), []);
  const client = await wire.toStorage();
  t.equal((await client.download(`group1/${reply.toString('latin1', 16)}`)).body.length, MIB);
  await node.assertClean(t);
  t.notMatch(node.log, 'not a clean one');
});

// Seen to fail (connection closed) with downloads counted only until they begin.
t.test('a stop in the middle of a download: it is sent to its end', async (t) => {
  const wire = await startWire(t);
  const content = seeded(t).bytes(32 * MIB);
  const client = await wire.toStorage();
  const id = await client.upload(content);
  const download = client.download(id);
  client.socket.pause();
  const other = await wire.toStorage();
  // Answered after the download has begun.
  t.equal((await other.download(id, 0, 10)).status, 0);
  const stopped = wire.node.stop();
  // Idle connections are closed when the stop begins.
  await other.closed();
  client.socket.resume();
  const { status, body } = await download;
  t.equal(status, 0);
  t.ok(body.equals(content));
  await stopped;
});

t.test('an upload whose data does not come keeps a stop waiting for some seconds only', async (t) => {
  const wire = await startWire(t);
  const { node } = wire;
  const client = await wire.toStorage();
  const body = upload();
  client.send(11, body.subarray(0, 600_000), { length: BigInt(body.length) });
  await node.until(() => temporariesOn(node.storePath).length > 0, 'receiving it');
  const before = Date.now();
  await node.stop();
  t.ok(Date.now() - before < 10_000, `${Date.now() - before} ms`);
  await client.closed();
  await node.start();
  t.strictSame(filesOn(node.storePath), [], 'nothing of it is kept');
  await node.assertClean(t);
});

t.test(
  'a full disk: status 28, and uploads are taken again when there is space',
  { skip: cannotMount() },
  async (t) => {
    const point = mountTmpfs(t, join(scratch(t), 'disk'), 48);
    const env = { FIDFS_STORE_PATHS: join(point, 'store0'), FIDFS_RESERVE: '0' };
    const wire = await serveWire(t, await TestNode.create(t, { env }));
    await wire.node.start();
    const [client, tracker] = [await wire.toStorage(), await wire.toTracker()];
    const id = await client.upload(Buffer.from('before'));
    const { bavail, bsize } = statfsSync(point);
    const others = join(point, 'file-of-others');
    writeFileSync(others, Buffer.alloc(bavail * bsize - 3 * MIB));
    const statuses = new Set<number>();
    const stored: string[] = [];
    for (let round = 0; round < 10; round++) {
      const { status, id } = await client.tryUpload(Buffer.alloc(MIB, round));
      if (status === 0) stored.push(id);
      statuses.add(status);
    }
    // Seen to fail (5) without `full` in errors.ts.
    t.strictSame([...statuses].sort(), [0, 28]);
    await wire.node.until(async () => (await tracker.ask(101)).status === 28, 'telling by the tracker, too');
    for (const one of [id, ...stored]) t.equal((await client.download(one)).status, 0, 'the same connection goes on');
    t.equal((await client.delete(stored[0] ?? '')).status, 0, 'a deletion is possible');
    rmSync(others);
    await wire.node.until(async () => (await client.tryUpload(Buffer.alloc(MIB))).status === 0, 'taking uploads again');
    t.equal((await tracker.ask(101)).status, 0);
    await wire.node.assertClean(t);
  },
);
