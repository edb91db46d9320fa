import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import t, { type Test } from 'tap';
import { filesOn } from '../helpers/disk.js';
import { MULTIPART, multipart } from '../helpers/multipart.js';
import { TestNode, uploadedOf } from '../helpers/node.js';
import { outcome } from '../helpers/raw.js';

const MIB = 2 ** 20;

/** Mounts a small tmpfs, unmounted after the test; undefined if this user cannot mount one. */
function mountSmall(t: Test, at: string, size: number): string | undefined {
  mkdirSync(at, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=755`, 'tmpfs', at], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  t.teardown(() => execFileSync('umount', ['-l', at]));
  return at;
}

function scratch(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

// Seen to fail without `best?.space.available` in choosePath: all files went to the first path.
t.test('new files go to the store path with the most room, and one below its reserve takes none', async (t) => {
  const directory = scratch(t);
  const small = mountSmall(t, join(directory, 'small'), 8 * MIB);
  const large = mountSmall(t, join(directory, 'large'), 24 * MIB);
  if (!small || !large) return void t.pass('skipped', { skip: 'needs the right to mount a tmpfs' });
  const paths = [join(small, 'store'), join(large, 'store')];
  const node = await TestNode.start(t, { env: { FIDFS_STORE_PATHS: paths.join(','), FIDFS_RESERVE: '4MiB' } });
  const where: string[] = [];
  const outcomes: string[] = [];
  const kept: { id: string; body: Buffer }[] = [];
  // 20 MiB and 4 MiB are free above the reserves: five files of 4 MiB fit on the large one and one on the small one, each
  // with its ballast.
  for (let round = 0; round < 8; round++) {
    const body = Buffer.alloc(4 * MIB - 400_000, round);
    const answer = await node.post(body);
    outcomes.push(outcome(answer));
    if (answer.status === 201) {
      const id = uploadedOf(answer)[0]?.id ?? '';
      kept.push({ id, body });
      where.push(id.slice(7, 10));
    }
    // The free space is updated once a second.
    const count = where.length;
    await node.until(async () => (await available(node)) <= freeAbove(small, large), `told of ${count} files`);
  }
  t.ok(where.includes('M00') && where.includes('M01'), 'both paths are used', { where });
  t.equal(where[0], 'M01', 'the one with more room comes first');
  t.equal(outcomes.at(-1), '507 full', 'at last both are full', { outcomes });
  t.ok(free(small) >= 4 * MIB && free(large) >= 4 * MIB, 'the reserve is not touched');
  const lost: string[] = [];
  for (const { id, body } of kept) if (!(await node.get(id)).body.equals(body)) lost.push(id);
  t.strictSame(lost, [], 'what was acknowledged is served, from wherever it lies');
  await node.assertClean(t);
});

function free(at: string): number {
  const { bavail, bsize } = statfsSync(at);
  return bavail * bsize;
}

function freeAbove(...paths: string[]): number {
  return paths.reduce((sum, path) => sum + Math.max(0, free(path) - 4 * MIB), 0);
}

/** The sum of the available bytes in the node's metrics. */
async function available(node: TestNode): Promise<number> {
  const metrics = (await node.get('/metrics')).body.toString();
  const lines = metrics.matchAll(/^fidfs_store_path_available_bytes\{.*\} (\S+)$/gm);
  return [...lines].reduce((sum, line) => sum + Number(line[1]), 0);
}

// Seen to fail without `- reserved` in StorePath.space.
t.test('a node whose paths are all below the reserve answers 507, keeps nothing, and serves what it has', async (t) => {
  const node = await TestNode.start(t);
  const { id } = await node.upload(Buffer.from('from better days'));
  await node.stop();
  const full = await TestNode.start(t, { directory: node.directory, env: { FIDFS_RESERVE: '1000TiB' } });
  const before = filesOn(full.storePath).length;
  const outcomes = [
    outcome(await full.post(Buffer.alloc(0))),
    outcome(await full.post(Buffer.from('x'))),
    outcome(await full.post(Buffer.alloc(2 * MIB))),
    outcome(await full.post(Readable.from([Buffer.alloc(2 * MIB)], { objectMode: false }))),
    outcome(await full.post(multipart({ fileName: 'a', content: 'x' }), '', MULTIPART)),
    // Seen to hang when receiveMultipart does not read the rest of the body.
    outcome(await full.post(multipart({ fileName: 'a', content: Buffer.alloc(20 * MIB) }), '', MULTIPART)),
  ];
  t.strictSame([...new Set(outcomes)], ['507 full'], { outcomes });
  t.equal(filesOn(full.storePath).length, before);
  t.equal((await full.get(id)).body.toString(), 'from better days');
  await full.assertClean(t);
});

t.test('a disk that fills up while a file comes is 507, nothing of it stays, and others go on', async (t) => {
  const directory = scratch(t);
  const small = mountSmall(t, join(directory, 'small'), 8 * MIB);
  if (!small) return void t.pass('skipped', { skip: 'needs the right to mount a tmpfs' });
  const node = await TestNode.start(t, { env: { FIDFS_STORE_PATHS: join(small, 'store'), FIDFS_RESERVE: '0' } });
  // A file of another program, not noticed before the next update of the free space.
  const others = join(small, 'others');
  for (const body of [Buffer.alloc(5 * MIB), multipart({ fileName: 'a', content: Buffer.alloc(5 * MIB) })]) {
    writeFileSync(others, Buffer.alloc(6 * MIB));
    t.equal(outcome(await node.post(body, '', body.length === 5 * MIB ? {} : MULTIPART)), '507 full');
    t.strictSame(filesOn(node.storePath), []);
    rmSync(others);
    await node.until(async () => (await available(node)) > 6 * MIB, 'aware of the room');
  }
  t.equal(outcome(await node.post(Buffer.alloc(5 * MIB))), '201');
  await node.assertClean(t);
});
