import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import t from 'tap';
import { adopt, allOf, createOnFastdfs, wrongOf } from '../helpers/adopting.js';
import { assertProblem } from '../helpers/assert-problem.js';
import { snapshotOf } from '../helpers/files.js';

// Seen to fail without readOnly in openStorePaths() of main.ts, and in its call of restrictAccess() (the modes of files change).
t.test('readOnly serves the disk of a running FastDFS, and writes nothing there', async (t) => {
  const { store, node } = await createOnFastdfs(t, { FIDFS_READ_ONLY: 'true' });
  const before = snapshotOf(store.roots);
  await node.start();
  const all = allOf(store);
  const [id = ''] = all.keys();

  await t.test('all files are served, packed ones too; what is not there is 404', async (t) => {
    t.strictSame(await wrongOf(node, all), []);
    t.equal((await node.get(id.replace(/..$/, '00'))).status, 404);
    for (const freed of store.freed) t.equal((await node.get(freed)).status, 404);
  });

  await t.test('uploads, deletions and adoptions are refused with the reason', async (t) => {
    assertProblem(t, await node.post(Buffer.from('x')), 503, 'unavailable', 'an upload');
    assertProblem(t, await node.delete(id), 503, 'unavailable', 'a deletion');
    const [packed = ''] = store.packed.keys();
    assertProblem(t, await node.delete(packed), 503, 'unavailable', 'of a packed file');
    const refused = await node.command('adopt');
    t.equal(refused.status, 1);
    t.match(refused.stderr, 'readOnly');
    t.equal((await node.command('rebuild')).status, 2);
    const { stdout } = await node.command('status');
    t.match(stdout, 'this node only reads it (readOnly)');
    t.strictSame(await wrongOf(node, all), []);
  });

  await t.test('a dry run of adopt tells what there is', async (t) => {
    const { report } = await adopt(node, '--dry-run');
    t.equal(report.files, all.size);
    await node.until(async () => (await node.status()).foreign === all.size + 1, 'counted');
  });

  await t.test('files that FastDFS stores meanwhile are served', async (t) => {
    const [vector = '', content] = [...all].find(([, bytes]) => bytes.length === 1000) as [string, Buffer];
    const later = vector.replace('group1/M00/00/01/Ck', 'group1/M00/00/07/Cn');
    mkdirSync(dirname(store.pathOf(later)), { recursive: true });
    writeFileSync(store.pathOf(later), content);
    const now = snapshotOf(store.roots);
    t.ok((await node.get(later)).body.equals(content));
    await node.command('scrub');
    await node.stop();
    t.strictSame(snapshotOf(store.roots), now);
    const kept = Object.keys(before).filter((path) => now[path] === before[path]);
    t.ok(kept.length >= Object.keys(before).length - 2, 'only the directories of the new file have changed');
  });

  await t.test('without it the node takes uploads, and all is there', async (t) => {
    node.configure({ FIDFS_READ_ONLY: 'false' });
    await node.start();
    const upload = await node.upload(Buffer.from('new'));
    t.equal((await node.get(upload.id)).status, 200);
    t.strictSame(await wrongOf(node, all), []);
    t.equal((await adopt(node)).report.files, all.size + 1);
  });
});
