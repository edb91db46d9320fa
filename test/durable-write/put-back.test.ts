import { existsSync, readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { TestNode } from '../helpers/node.js';
import { Snapshot } from '../helpers/snapshot.js';

/*
 * A node without peers whose index or store path was restored from an older copy, so that the two are not of the same time.
 * Seen to fail without the comparison of the batch counts (`isOfTheSameMoment`), without each step of `reconcile`, and without
 * its check of the size.
 */

async function kill(node: TestNode): Promise<void> {
  for (const pid of node.pids()) process.kill(pid, 'SIGKILL');
  await node.ended();
}

const statusesOf = async (node: TestNode, ids: readonly string[]) =>
  Promise.all(ids.map(async (id) => (await node.get(id)).status));

t.test('a store path put back by itself, and an index, agree again before anything is served', async (t) => {
  const node = await TestNode.start(t);
  const said = () => node.log.split('put back to an older copy').length - 1;
  const upload = async (count: number) => {
    const ids: string[] = [];
    for (let number = 0; number < count; number++) ids.push((await node.upload(Buffer.from(`${Math.random()}`))).id);
    return ids;
  };
  const [deleted, torn, ...kept] = (await upload(6)) as [string, string, ...string[]];
  const snapshot = await Snapshot.take(t, node);
  const late = await upload(6);
  const [lateDeleted] = await upload(1);
  await node.delete(deleted);
  await node.delete(lateDeleted as string);
  await kill(node);

  snapshot.putBack('the index');
  await node.start();
  await node.until(() => said() === 1, 'heard to say so');
  const found = [...kept, torn, ...late];
  t.strictSame(
    await statusesOf(node, found),
    found.map(() => 200),
  );
  const gone = [deleted, lateDeleted as string];
  t.strictSame(await statusesOf(node, gone), [404, 404], 'what was deleted stays deleted');
  t.match((await node.command('status')).stdout, ` ${found.length} files,`, 'what the index did not know is recorded');
  await kill(node);

  snapshot.putBack('the store path');
  truncateSync(node.pathOf(torn), 1); // it was being written when the older copy was made
  await node.start();
  t.strictSame(
    await statusesOf(node, kept),
    kept.map(() => 200),
  );
  t.strictSame(await statusesOf(node, gone), [404, 404], 'what was deleted stays deleted');
  t.notOk(existsSync(node.pathOf(deleted)), 'on the disk, too');
  t.equal(statSync(join(node.data, 'store0/tombstones')).size, 20 * gone.length, 'and a rebuild would know it');
  t.equal(readdirSync(join(node.data, 'store0/quarantine')).length, 1, 'a torn file is not served');
  const status = await node.command('status');
  t.match(
    status.stdout,
    `${late.length + 1} files are missing, and there is no other node to fetch them from`,
    'what is gone is said',
  );
  t.equal(status.status, 1);
  await node.until(() => said() === 2, 'heard to say so');
  await node.stop();

  await node.start();
  await node.stop();
  t.equal(said(), 2, 'the next start finds nothing');
});

// Seen to fail (not detected) if `reconcile` does not set the count beyond both histories.
t.test(
  'a store path put back, written to as often as before, and put forth again is found out both times',
  async (t) => {
    const node = await TestNode.start(t);
    const said = () => node.log.split('put back to an older copy').length - 1;
    const uploadSome = async () => {
      const ids: string[] = [];
      for (let number = 0; number < 4; number++) ids.push((await node.upload(Buffer.from(`${Math.random()}`))).id);
      return ids;
    };
    await uploadSome();
    const older = await Snapshot.take(t, node);
    const first = await uploadSome();
    const newer = await Snapshot.take(t, node);
    await node.stop();

    older.putBack('the store path');
    await node.start();
    t.strictSame(new Set(await statusesOf(node, first)), new Set([404]), 'what it lacks is not served');
    const second = await uploadSome();
    await node.stop();

    newer.putBack('the store path');
    await node.start();
    await node.until(() => said() === 2, 'heard to say so twice');
    t.strictSame(new Set(await statusesOf(node, first)), new Set([200]), 'what came back is served');
    t.match(
      (await node.command('status')).stdout,
      `${second.length} files are missing, and there is no other node to fetch them from`,
      'and what is gone is said',
    );
  },
);
