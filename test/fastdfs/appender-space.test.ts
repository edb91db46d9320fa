import { statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { startWireNode } from '../helpers/fastdfs-node.js';
import { cannotMount, mountTmpfs, scratch } from '../helpers/mounts.js';

const MIB = 2 ** 20;

t.test('appenders leave the reserve free', { skip: cannotMount() }, async (t) => {
  const disk = mountTmpfs(t, join(scratch(t), 'disk'), 64);
  const root = join(disk, 'store');
  const { node, client } = await startWireNode(t, { env: { FIDFS_STORE_PATHS: root, FIDFS_RESERVE: '15MiB' } });
  const free = () => {
    const { bavail, bsize } = statfsSync(disk);
    return (bavail * bsize) / MIB;
  };
  const id = await client.upload(Buffer.from('x'), 'log', { command: 23 });
  const size = () => statSync(join(root, 'data', ...id.split('/').slice(2))).size;

  // Seen to fail (0 MiB free) without the reservation in `appendBytes` of daemon/store/append-bytes.ts.
  await t.test('while a piece is copied from its temporary file', async (t) => {
    let least = free();
    const timer = setInterval(() => {
      least = Math.min(least, free());
    }, 1);
    t.equal((await client.append(id, Buffer.alloc(26 * MIB, 1))).status, 28);
    clearInterval(timer);
    t.ok(least > 15, `${least} MiB free`);
    t.equal(size(), 1);
    t.equal((await client.append(id, Buffer.alloc(20 * MIB, 1))).status, 0);
    t.equal((await client.append(id, Buffer.alloc(100_000, 1))).status, 0, 'a piece that is held in memory');
  });

  // Seen to fail (0) without the reservation of zeros there.
  await t.test('and are not made longer by more zeros than fit', async (t) => {
    const before = size();
    t.equal((await client.truncate(id, 1024 * MIB)).status, 28);
    t.equal(size(), before);
    t.equal((await client.truncate(id, before + 20 * MIB)).status, 0);
    const other = await client.tryUpload(Buffer.alloc(20 * MIB));
    t.equal(other.status, 0, 'nothing stays reserved');
  });
  await node.assertClean(t);
});
