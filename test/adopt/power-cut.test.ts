import { execFileSync } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { Status } from '../../daemon/status.js';
import { adopt, allOf, createOnFastdfs, wrongOf } from '../helpers/adopting.js';
import type { FastdfsStore } from '../helpers/fastdfs-store.js';
import { cannotMount, makeImage, mountImage, scratch, unmount } from '../helpers/mounts.js';
import type { TestNode } from '../helpers/node.js';
import { stopped } from '../helpers/power-cut.js';
import { seeded } from '../helpers/random.js';

/** Set by `npm run storm -- --rounds N`: the number of adoptions. */
const ROUNDS = Math.ceil(Number(process.env.STORM_ROUNDS ?? 10) / 10);
/** Power cuts during one adoption; the suite is shorter. */
const CUTS = process.env.STORM_ROUNDS === undefined ? 2 : 5;

/** Starts the node on the state after a power cut, and adopts what is left. Resolves with the number of files adopted before. */
async function lookAt(t: Test, store: FastdfsStore, node: TestNode): Promise<number> {
  const all = allOf(store);
  const left = (directory: string) => store.roots.flatMap((root) => readdirSync(join(root, directory)));
  await node.start();
  t.strictSame(await wrongOf(node, all), [], 'every file is served whole after a power cut');
  t.strictSame([...left('tmp'), ...left('quarantine')], [], 'nothing half done is left');
  const { report } = await adopt(node);
  t.equal(report.left, 1, 'the next adoption ends it, but for the dangling link');
  t.strictSame(await wrongOf(node, all), [], 'every file is served whole afterwards');
  for (const id of [...store.packed.keys(), ...store.symbolic.keys()])
    t.ok(lstatSync(store.pathOf(id)).isFile(), `${id} is a file of its own`);
  for (const [id, content] of store.metadata) t.ok(readFileSync(`${store.pathOf(id)}-m`).equals(content), `${id}-m`);
  await node.assertClean(t);
  await node.stop();
  return all.size - report.files;
}

/** Number of files that the adoption has taken so far; undefined before its beginning. */
async function adoptedBy(node: TestNode): Promise<number | undefined> {
  const origin = `http://127.0.0.1:${node.daemonPort}`;
  const { body } = await node.request('/status', { method: 'GET', origin, headers: node.authorized() });
  const { progress, last } = (JSON.parse(body.toString()) as Status).adoption;
  return (progress ?? last)?.files;
}

// Seen to fail (empty files in quarantine) with the index alone synced by BatchSync.batch.
t.test('a power cut at any moment of an adoption loses nothing', { skip: cannotMount() }, async (t) => {
  const random = seeded(t);
  const counts: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const directory = scratch(t);
    const image = join(directory, 'image');
    makeImage(image, 128);
    const point = mountImage(t, image, join(directory, 'node'), 'loop,commit=300');
    // Slow enough for the power to be cut in its middle.
    const { store, node } = await createOnFastdfs(t, { FIDFS_REPAIR_RATE: '256KiB/s' }, point);
    execFileSync('sync', ['-f', point]);
    await node.start();
    const under = adopt(node);
    const copies = Array.from({ length: CUTS }, (_, number) => join(directory, `copy${number}`));
    let before: number | undefined;
    for (const copy of copies) {
      // Batches are made durable and renamed at these moments.
      await node.until(async () => (await adoptedBy(node)) !== before, 'going on', 60);
      before = await adoptedBy(node);
      // The power cut must come at a random moment; this waits for nothing.
      await sleep(random.below(100));
      await stopped(node, image, copy, async () => {});
    }
    await under;
    await node.stop();
    node.configure({ FIDFS_REPAIR_RATE: '100MiB/s' });
    for (const copy of copies) {
      // At the same place: FastDFS's symbolic links are absolute.
      unmount(point);
      mountImage(t, copy, point);
      counts.push(await lookAt(t, store, node));
      rmSync(copy);
    }
  }
  t.comment(`files adopted before: ${counts}`);
  t.ok(new Set(counts).size > 1, 'the power was cut in its middle');
});
