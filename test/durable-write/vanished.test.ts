import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { problemOf } from '../helpers/assert-problem.js';
import { TestNode } from '../helpers/node.js';

/** A directory for store paths, which contains the node's directory. */
function places(t: Test): { directory: string; first: string; second: string } {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return { directory, first: join(directory, 'first'), second: join(directory, 'second') };
}

/** Removes a store path as an unmount does: an empty directory remains. */
function vanish(path: string): void {
  renameSync(path, `${path}-away`);
  mkdirSync(path);
}

function comeBack(path: string): void {
  rmSync(path, { recursive: true });
  renameSync(`${path}-away`, path);
}

async function untilReady(node: TestNode): Promise<void> {
  await node.until(async () => (await node.get('/readyz')).status === 200, 'ready');
}

t.test('without its only store path a node refuses uploads with 503, and takes them when it is back', async (t) => {
  const { directory, first } = places(t);
  const node = await TestNode.start(t, { directory, env: { FIDFS_STORE_PATHS: first } });
  const { id } = await node.upload(Buffer.from('before'));
  vanish(first);
  const refused = await Promise.all(Array.from({ length: 8 }, () => node.post(Buffer.from('meanwhile'))));
  t.strictSame(new Set(refused.map(({ status }) => status)), new Set([503]), 'refused');
  t.equal(refused[0]?.headers['retry-after'], '5', 'with the word to try again');
  t.equal((await node.post(Buffer.alloc(2 ** 20))).status, 503, 'a large one too');
  comeBack(first);
  await untilReady(node);
  t.equal((await node.get(id)).body.toString(), 'before', 'what was there is served');
  await node.upload(Buffer.from('after'));
  await node.assertClean(t);
});

// Seen to fail without `assertThere` in Deletions.remove and Checkpoints.remove: 204, and the file was back.
t.test('a deletion on a store path that has vanished is refused, and the file is served when it is back', async (t) => {
  const { directory, first } = places(t);
  const node = await TestNode.start(t, { directory, env: { FIDFS_STORE_PATHS: first } });
  const { id } = await node.upload(Buffer.from('to be deleted'));
  vanish(first);
  t.equal((await node.delete(id)).status, 503);
  comeBack(first);
  await untilReady(node);
  t.equal((await node.get(id)).status, 200, 'not deleted');
  t.equal((await node.delete(id)).status, 204, 'now it is');
  await node.until(async () => (await node.get(id)).status === 404, 'gone');
  await node.stop('SIGKILL');
  await node.start();
  t.equal((await node.get(id)).status, 404, 'after a crash too');
  await node.assertClean(t);
});

t.test('with a second store path uploads go on, to clients unseen, and both are used when it is back', async (t) => {
  const { directory, first, second } = places(t);
  const node = await TestNode.start(t, { directory, env: { FIDFS_STORE_PATHS: `${first},${second}` } });
  const before = await node.upload(Buffer.from('before'));
  const used = before.id.includes('/M00/') ? first : second;
  vanish(used);
  const uploads = await Promise.all(Array.from({ length: 50 }, (_, n) => node.upload(Buffer.from(`meanwhile ${n}`))));
  t.notOk(
    uploads.some(({ id }) => id.slice(0, 10) === before.id.slice(0, 10)),
    'all went to the other path',
  );
  const deletions = uploads.slice(0, 25).map(({ id }) => node.delete(id));
  const answers = await Promise.all([node.delete(before.id), ...deletions]);
  t.strictSame(
    answers.map(({ status }) => status),
    [503, ...deletions.map(() => 204)],
    'only what lies on the vanished path cannot be deleted',
  );
  await node.stop();
  await node.start();
  await node.until(() => node.log.includes('out of use until a restart finds it well'), 'said to be out of use');
  await node.upload(Buffer.from('after the restart'));
  comeBack(used);
  await node.stop('SIGKILL');
  await node.start();
  t.equal((await node.get(before.id)).body.toString(), 'before', 'it is back');
  await node.assertClean(t);
});

// Seen to fail (ready) without the checks of the directories and the tombstones in Disk.recognise.
t.test('/readyz is 503 and says why when a store path, or a part of it, is deleted under the node', async (t) => {
  const { directory, first } = places(t);
  const node = await TestNode.start(t, { directory, env: { FIDFS_STORE_PATHS: first } });
  const { id } = await node.upload(Buffer.from('before'));
  const said = async () => problemOf(await node.get('/readyz')).detail ?? '';
  const asItWas = join(directory, 'as-it-was');
  cpSync(first, asItWas, { recursive: true });
  for (const part of ['data', 'tmp', '']) {
    const away = join(first, part);
    renameSync(away, join(directory, 'away'));
    await node.until(
      async () => (await said()).startsWith('This node is not ready: no store path takes files: M00'),
      'told',
    );
    t.notMatch(await said(), directory, 'without its directory');
    // Seen to fail (M00 twice, and "?.") with the directory in the message of Disk.recognise, and with an unconditional full stop.
    const why = part === '' ? 'fidfs-store-path is missing; is the disk mounted?' : `${part}/ is missing; put it back.`;
    t.equal(await said(), `This node is not ready: no store path takes files: M00: ${why}`);
    t.equal((await node.post('x')).status, 503);
    renameSync(join(directory, 'away'), away);
    await untilReady(node);
  }
  rmSync(first, { recursive: true });
  renameSync(asItWas, first);
  await node.until(async () => /tombstones is not the one that was there/.test(await said()), 'told of the other file');
  await node.stop();
  await node.start();
  t.equal((await node.get(id)).status, 200);
  t.equal((await node.delete(id)).status, 204);
});
