import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { broken, Load } from '../helpers/load.js';
import { cannotMount, mountTmpfs, scratch } from '../helpers/mounts.js';
import { TestNode } from '../helpers/node.js';
import { type Random, seeded } from '../helpers/random.js';

const skip = cannotMount();

/** Fills the disk except for 3 MiB, which the load soon uses. Returns the file to remove. */
function fill(point: string): string {
  const { bavail, bsize } = statfsSync(point);
  const file = join(point, 'somebody-elses-file');
  writeFileSync(file, Buffer.alloc(bavail * bsize - 3 * 2 ** 20));
  return file;
}

async function fullDisk(t: Test, random: Random, node: TestNode, point: string): Promise<void> {
  await node.start();
  const load = new Load(node, random, { deletions: 10 });
  for (let round = 1; round <= 3; round++) {
    const others = fill(point);
    const before = load.count(507);
    load.start();
    await node.until(() => load.count(507) >= before + 100, 'full');
    rmSync(others);
    const stored = load.count(201);
    await node.until(() => load.count(201) >= stored + 100, 'taking uploads again');
    await load.stop();
    t.strictSame(await broken(node, load.promised()), [], 'everything that was answered is served, or gone');
    await node.assertClean(t);
    await load.forgetMost();
  }
  const statuses = [...load.statuses.keys()].filter((status) => ![201, 204, 404, 507].includes(status));
  t.strictSame(statuses, [], 'every error is 507', {
    statuses: [...load.statuses],
    breaks: load.breaks,
    log: node.log.slice(-3000),
  });
  await node.stop('SIGKILL');
  await node.start();
  t.strictSame(await broken(node, load.promised()), [], 'and after a restart too');
}

// Seen to fail without the check for short writes in daemon/store/write-all.ts (torn files), and with a refused multipart body
// that is not read in daemon/http/multipart.ts (later requests on the same connection of nginx were never answered).
t.test('a full disk loses nothing, and uploads go on when there is space again', { skip }, async (t) => {
  await t.test('the data directory on the same disk', async (t) => {
    const random = seeded(t);
    const point = mountTmpfs(t, join(scratch(t), 'disk'), 48);
    await fullDisk(t, random, await TestNode.create(t, { directory: point, env: { FIDFS_RESERVE: '0' } }), point);
  });
  await t.test('the data directory on another disk', async (t) => {
    const random = seeded(t);
    const point = mountTmpfs(t, join(scratch(t), 'disk'), 48);
    const env = { FIDFS_STORE_PATHS: join(point, 'store0'), FIDFS_RESERVE: '0' };
    await fullDisk(t, random, await TestNode.create(t, { env }), point);
  });
});
