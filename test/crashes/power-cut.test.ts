import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { AppenderLoad } from '../helpers/appender-load.js';
import { WireLoad } from '../helpers/fastdfs-load.js';
import { wireSettings } from '../helpers/fastdfs-server.js';
import { broken, Load, type Promised } from '../helpers/load.js';
import { cannotMount, makeImage, mountImage, scratch, unmount } from '../helpers/mounts.js';
import { TestNode } from '../helpers/node.js';
import { cutPower } from '../helpers/power-cut.js';
import { type Random, seeded } from '../helpers/random.js';

/*
 * The node is on an ext4 image, mounted through a loop device: data that is only in the page cache of that file system is not
 * in the image. A copy of the image, made while all writers are stopped, is the state after a power cut.
 */

/** Set by `npm run storm -- --rounds N` and `--sync MODE`. */
const ROUNDS = Number(process.env.STORM_ROUNDS ?? 8);
const ONLY = process.env.STORM_SYNC;
/** A long commit interval: each commit of the journal makes data durable that was not synced, which hides errors. */
const MOUNTED = 'loop,commit=300';

/** Starts a node on the state after a power cut, and resolves with the errors found. */
async function lookAt(t: Test, copy: string, point: string, promised: Promised, sync: string): Promise<string[]> {
  mountImage(t, copy, point);
  const node = await TestNode.create(t, { directory: point, env: { FIDFS_SYNC: sync } });
  try {
    await node.start();
    const found = await broken(node, promised);
    const { status, stdout, stderr } = await node.command('verify');
    if (status !== 0) found.push(`fidfs verify: ${stdout}${stderr}`);
    const left = readdirSync(join(node.storePath, 'tmp'));
    return [...found, ...left.map((name) => `tmp/${name} is left`)];
  } finally {
    await node.stop();
    unmount(point);
    rmSync(copy);
  }
}

async function storm(t: Test, random: Random, sync: string, rounds: number): Promise<void> {
  const directory = scratch(t);
  const image = join(directory, 'image');
  makeImage(image, 512);
  const point = mountImage(t, image, join(directory, 'node'), MOUNTED);
  const wire = await wireSettings();
  const node = await TestNode.start(t, { directory: point, env: { FIDFS_SYNC: sync, ...wire.env } });
  // Otherwise the first start would be lost, too, and no promise could be checked.
  if (sync === 'off') execFileSync('sync', ['-f', point]);
  const load = new Load(node, random, { deletions: 40, largest: 2 ** 20, slaves: 15 });
  const wireLoad = new WireLoad(wire.storage, random, { deletions: 30, slaves: 15 });
  const appenders = new AppenderLoad(wire.storage, random);
  const loads = [load, wireLoad, appenders];
  let asked = 0;
  let lost = 0;
  for (let round = 1; round <= rounds; round++) {
    for (const one of loads) one.start();
    // The power cut must come at a random moment; this waits for nothing.
    await sleep(100 + random.below(300));
    const copy = join(directory, 'copy');
    const promised = await cutPower(node, loads, image, copy);
    for (const one of loads) await one.stop();
    const found = await lookAt(t, copy, join(directory, 'after'), promised, sync);
    asked += promised.stored.size + promised.deleted.size;
    lost += found.length;
    t.strictSame(
      found.slice(0, 20),
      [],
      `round ${round}: nothing that was answered is lost, nothing half done is left`,
    );
    if (promised.stored.size > 2000) for (const one of loads) await one.forgetMost();
  }
  t.comment(`sync ${sync}: ${asked} promises looked at after ${rounds} power cuts, ${lost} broken`);
  t.ok(appenders.changes > rounds, `${appenders.changes} changes of appenders`);
}

// Seen to fail with FIDFS_SYNC=off (4,122 of 5,971 promises broken in 5 rounds), without the sync in BatchCommit.sync
// (614 of 922 in 3), without repeatDeletions in daemon/store/recovery.ts (incomplete deletions in 2 of 5), and without
// recoverAppenders (torn appends in 3 of 6).
t.test('what was answered survives a power cut at any moment', { skip: cannotMount() }, async (t) => {
  const random = seeded(t);
  await storm(t, random, ONLY ?? 'batch', ROUNDS);
  if (ONLY === undefined) await storm(t, random, 'file', Math.ceil(ROUNDS / 5));
});
