import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { TestNode } from '../helpers/node.js';
import { begin, send, stateOf, tus } from '../helpers/tus.js';

const UPLOADS = 10_000;
const AT_ONCE = 32;
const MEMORY_BYTES = 64 * 2 ** 20;

/** The daemon's resident memory, in bytes. */
function memoryOf(node: TestNode): number {
  const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${node.daemonPid()}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

/** Sets the last activity of all uploads back by more than a day. */
function age(node: TestNode): void {
  const database = new Database(join(node.data, 'index.db'));
  database.exec('UPDATE upload SET touched = touched - 86400000 - 1000');
  database.close();
}

// Seen to fail with a sweep of the first 500 only, and with 16 KB of memory kept for each piece.
t.test('10,000 abandoned uploads cost no memory, and are given up', async (t) => {
  const node = await TestNode.start(t);
  const piece = Buffer.alloc(100, 1);
  const abandon = async () => send(node, await begin(node, 1000), 0, piece);
  const abandonMany = async (count: number) => {
    let left = count;
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        while (left-- > 0) await abandon();
      }),
    );
  };
  await abandonMany(UPLOADS / 2);
  const before = memoryOf(node);
  await abandonMany(UPLOADS / 2);
  t.equal(readdirSync(join(node.storePath, 'tmp')).length, UPLOADS);
  const grown = memoryOf(node) - before;
  t.ok(grown < MEMORY_BYTES, 'flat memory', { grown });

  const kept = await begin(node, 1000);
  await send(node, kept, 0, piece);
  const finished = await begin(node, 100);
  const id = String((await send(node, finished, 0, piece)).headers['fidfs-id']);
  await node.stop();
  age(node);
  const database = new Database(join(node.data, 'index.db'));
  database.prepare('UPDATE upload SET touched = ? WHERE id = ?').run(Date.now(), kept.slice('/tus/'.length));
  database.close();
  await node.start();
  await node.until(() => readdirSync(join(node.storePath, 'tmp')).length === 1, 'rid of them');
  t.equal((await tus(node, 'HEAD', finished)).status, 404, 'what became of a finished one is forgotten');
  t.equal((await node.get(id)).status, 200, 'and the file stays');
  t.strictSame(await stateOf(node, kept), { offset: 100, id: undefined }, 'one with news goes on');
  await send(node, kept, 100, Buffer.alloc(900));
  await node.assertClean(t);
});

t.test('an upload whose time is over says so, and takes no more', async (t) => {
  const node = await TestNode.start(t);
  const upload = await begin(node, 1000);
  await send(node, upload, 0, Buffer.alloc(100));
  age(node);
  const { status } = await send(node, upload, 100, Buffer.alloc(900));
  t.ok(status === 410 || status === 404, 'gone, whether it was swept already or not', { status });
});
