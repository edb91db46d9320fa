import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cannotMount, makeImage, mountImage, scratch } from '../helpers/mounts.js';
import { TestNode } from '../helpers/node.js';

const skip = cannotMount();
const MIB = 2 ** 20;

/** Writes until not a single byte can be written. */
function fillUp(file: string): void {
  const descriptor = openSync(file, 'a');
  for (let size = MIB; size >= 1; size /= 4) {
    const bytes = Buffer.alloc(size, 'f');
    try {
      while (writeSync(descriptor, bytes) === size);
    } catch {
      // Full: continues with smaller writes.
    }
  }
  closeSync(descriptor);
}

function takeAllInodes(directory: string): void {
  mkdirSync(directory);
  try {
    for (let number = 0; ; number++) closeSync(openSync(join(directory, String(number)), 'w'));
  } catch {
    // All inodes are used.
  }
}

// Seen to fail (507) without `ballast.shrink` in BatchLog.onFullDisk, and without that in appendTombstones.
t.test('a file can be deleted from a disk that is full', { skip }, async (t) => {
  const directory = scratch(t);
  makeImage(join(directory, 'image'), 48);
  const disk = mountImage(t, join(directory, 'image'), join(directory, 'disk'));
  const node = await TestNode.start(t, { directory: disk, env: { FIDFS_RESERVE: '0' } });
  const ids: string[] = [];
  for (let number = 0; number < 70; number++) ids.push((await node.upload(Buffer.from(`file ${number}`))).id);
  const filler = join(disk, 'filler');

  await t.test('to the last byte, by others', async (t) => {
    fillUp(filler);
    t.equal(statfsSync(disk).bavail, 0);
    t.equal((await node.post(Buffer.from('one more'))).status, 507);
    const statuses: number[] = [];
    for (const id of ids.splice(0, 30)) {
      statuses.push((await node.delete(id)).status);
      // Another program uses the space that was freed.
      fillUp(filler);
    }
    t.strictSame([...new Set(statuses)], [204], { statuses });
    const many = await Promise.all(ids.splice(0, 30).map((id) => node.delete(id)));
    t.strictSame([...new Set(many.map(({ status }) => status))], [204], 'many at once');
  });

  await t.test('and the node can be started again', async (t) => {
    fillUp(filler);
    await node.stop();
    fillUp(filler);
    await node.start();
    t.equal((await node.get(ids[0] as string)).status, 200);
    t.equal((await node.delete(ids.shift() as string)).status, 204);
    rmSync(filler);
    await node.until(async () => (await node.post(Buffer.from('again'))).status === 201, 'taking uploads again');
  });

  await t.test('that has no inodes left', async (t) => {
    takeAllInodes(join(disk, 'many'));
    t.equal(statfsSync(disk).ffree, 0);
    t.equal((await node.post(Buffer.from('one more'))).status, 507);
    const { status } = await node.get('/readyz');
    t.equal(status, 503);
    t.equal((await node.delete(ids.shift() as string)).status, 204);
    execFileSync('rm', ['-r', join(disk, 'many')]);
    await node.until(async () => (await node.get('/readyz')).status === 200, 'ready again');
    t.equal((await node.post(Buffer.from('one more'))).status, 201);
  });

  await node.assertClean(t);
});
