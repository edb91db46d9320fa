import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import type { Status } from '../../daemon/status.js';
import { adopt, allOf, createOnFastdfs, wrongOf } from '../helpers/adopting.js';
import { ready } from '../helpers/cluster.js';
import { vectors } from '../helpers/fastdfs-store.js';
import type { TestNode } from '../helpers/node.js';
import { TestNode as Node } from '../helpers/node.js';

const GROUP = { FIDFS_PEER_SECRET: 'peer-secret-0123456789', FIDFS_COPIES: '1', FIDFS_REPAIR_INTERVAL: '1s' };

async function pairWith(one: TestNode, other: TestNode) {
  one.configure({ ...GROUP, FIDFS_SERVER_ID: '1', FIDFS_PEERS: `2@group1=${other.origin}` });
  other.configure({ ...GROUP, FIDFS_SERVER_ID: '2', FIDFS_PEERS: `1@group1=${one.origin}` });
  await Promise.all([one.start(), other.start()]);
  await ready(one);
  await ready(other);
}

async function statusOf(node: TestNode): Promise<Status & { stdout: string }> {
  const stdout = (await node.command('status')).stdout;
  return { ...(await node.status()), stdout };
}

/** Flips a bit of a file. */
function damage(path: string): void {
  const bytes = readFileSync(path);
  bytes[0] = (bytes[0] as number) ^ 1;
  writeFileSync(path, bytes);
}

t.test('adopted files are copied to the other node', async (t) => {
  const { store, node } = await createOnFastdfs(t);
  const other = await Node.create(t);
  other.configure({ FIDFS_STORE_PATHS: [join(other.directory, 'one'), join(other.directory, 'two')].join(',') });
  // Seen to fail (nothing is copied) without the least version in `foundVersion`.
  const [old] = store.metadata.keys();
  utimesSync(`${store.pathOf(old as string)}-m`, new Date('1960-01-01'), new Date('1960-01-01'));
  await pairWith(node, other);
  const all = allOf(store);

  // Seen to fail without `foreign` in the findings of the status.
  await t.test('before, both say that they are on one node alone, and serve them', async (t) => {
    await node.until(async () => (await statusOf(node)).foreign === all.size + 1, 'counted');
    const words = `${all.size + 1} files of FastDFS are on this node alone: run fidfs adopt`;
    t.match((await statusOf(node)).stdout, words);
    await other.until(async () => (await statusOf(other)).stdout.includes(`node 1: ${words}`), 'told');
    t.notMatch((await statusOf(other)).stdout, 'All is well');
    t.match((await node.get('/metrics')).body.toString(), `fidfs_foreign_files ${all.size + 1}`);
    t.strictSame(await wrongOf(other, all), []);
  });

  await t.test('afterwards it has all of them, metadata too, and serves them without the first', async (t) => {
    await adopt(node);
    t.equal((await statusOf(node)).foreign, 1, 'the dangling link');
    const files = all.size + store.metadata.size;
    await other.until(async () => (await statusOf(other)).files === files, 'in possession of the files', 60);
    await node.stop();
    t.strictSame(await wrongOf(other, all), []);
    const pathOf = (id: string) => {
      const [, label, ...rest] = id.split('/');
      return join(other.directory, label === 'M00' ? 'one' : 'two', 'data', ...rest);
    };
    for (const [id, content] of store.metadata) t.ok(readFileSync(`${pathOf(id)}-m`).equals(content));
    t.equal((await other.command('verify')).status, 0);
    await node.start();
    await ready(node);
  });

  await t.test('a flipped bit is mended from the other node', async () => {
    const [id, content] = [...store.packed].find(([, bytes]) => bytes.length === 232) as [string, Buffer];
    const [link] = store.links as [string];
    damage(store.pathOf(id));
    damage(store.pathOf(link));
    await node.command('scrub');
    await node.until(async () => (await node.get(id)).body.equals(content), 'mended');
    await node.until(async () => (await node.get(link)).body.equals(all.get(link) as Buffer), 'mended, the link too');
  });

  // Seen to fail without `isDeleted` in the loop of reconcile(), which leaves foreign files alone.
  await t.test('a deleted one does not come back with an older copy of the disk', async (t) => {
    const [id, content] = [...store.metadata].map(([name]) => [name, all.get(name)] as const)[0] as [string, Buffer];
    t.equal((await node.delete(id)).status, 204);
    await other.until(async () => (await other.get(id)).status === 404, 'told');
    await node.stop();
    for (const [name, bytes] of [
      [store.pathOf(id), content],
      [`${store.pathOf(id)}-m`, Buffer.from('a\x02b')],
    ] as const)
      writeFileSync(name, bytes);
    // The count of batches is that of the older copy, too.
    writeFileSync(join(store.roots[0] as string, 'batches'), '1\n');
    await node.start();
    await ready(node);
    t.equal((await node.get(id)).status, 404);
    t.equal((await other.get(id)).status, 404);
  });
});

t.test('two servers of FastDFS with the same files find that they are equal', async (t) => {
  const one = await createOnFastdfs(t);
  const other = await createOnFastdfs(t);
  await pairWith(one.node, other.node);
  // FastDFS had not copied one file yet.
  const late = join(one.store.roots[0] as string, 'data/00/00/CkIAAWsCiLOAKbxGAAAAAdIC740856.bin');
  mkdirSync(dirname(late), { recursive: true });
  await Promise.all([adopt(one.node), adopt(other.node)]);
  const all = allOf(one.store);
  const files = all.size + one.store.metadata.size;
  for (const { node } of [one, other])
    await node.until(async () => {
      const { files: own, missing, setAside } = await statusOf(node);
      return own === files && missing === 0 && setAside === 0;
    }, 'equal');
  t.strictSame(await wrongOf(one.node, all), []);
  t.strictSame(await wrongOf(other.node, all), []);
});

// Seen to fail (the earlier files remain) with `unrecordedOf` always undefined.
t.test(
  'a copy of a peer does not replace what FastDFS had stored later on a node that has adopted nothing yet',
  async (t) => {
    const one = await createOnFastdfs(t);
    const other = await createOnFastdfs(t);
    const now = Date.now() / 1000;
    const write = ({ store }: typeof one, id: string, content: string, time: number) => {
      writeFileSync(store.pathOf(id), content);
      utimesSync(store.pathOf(id), time, time);
      return store.pathOf(id);
    };
    const [id] = [...one.store.metadata].map(([name]) => name) as [string];
    const appender =
      vectors.find(({ kind, storePathIndex }) => kind === 'appender' && storePathIndex === 0)?.fileId ?? '';
    const slaves = ['_a', '_b', '_c', '_d'].map((prefix) => id.replace(/(\.[^.]*)?$/, `${prefix}$1`));
    const later = new Map<string, string>();
    for (const [file, early, late] of [
      [appender, 'short', 'short, and what was appended later'],
      [`${id}-m`, 'name\x02early', 'name\x02later'],
    ] as const) {
      write(one, file, early, now - 5000);
      later.set(write(other, file, late, now - 1000), late);
      // The path on the node that has the earlier one.
      later.set(one.store.pathOf(file), late);
    }
    for (const slave of slaves) {
      write(one, slave, `of the first: ${slave}`, now - 5000);
      write(other, slave, `of the second: ${slave}`, now - 5000);
    }
    await pairWith(one.node, other.node);
    await adopt(one.node);
    await other.node.until(async () => (await statusOf(other.node)).files >= 20, 'in possession of copies');
    const isLater = () => [...later].every(([path, content]) => readFileSync(path, 'latin1') === content);
    await other.node.until(isLater, 'left with the later files, and the first node too');
    await adopt(other.node);

    await t.test('of two different slaves of one name none is lost', async (t) => {
      const contentsOf = (path: string) => readFileSync(path, 'latin1');
      const isEqual = () =>
        slaves.every((slave) => contentsOf(one.store.pathOf(slave)) === contentsOf(other.store.pathOf(slave)));
      await one.node.until(isEqual, 'equal');
      const kept = [one, other].flatMap(({ store }) =>
        readdirSync(join(store.roots[0] as string, 'quarantine')).map((name) =>
          contentsOf(join(store.roots[0] as string, 'quarantine', name)),
        ),
      );
      const served = slaves.map((slave) => contentsOf(one.store.pathOf(slave)));
      const written = slaves.flatMap((slave) => [`of the first: ${slave}`, `of the second: ${slave}`]);
      t.strictSame([...new Set([...kept, ...served])].sort(), written.sort());
    });
    for (const { node } of [one, other]) t.equal((await node.command('verify')).status, 0);
  },
);
