import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import t, { type Test } from 'tap';
import { PackedNames } from '../../daemon/store/foreign.js';
import { type Slot, slotsOf } from '../../daemon/store/slots.js';
import { adopt, allOf, createOnFastdfs } from '../helpers/adopting.js';

const MEBIBYTE = 2 ** 20;
/** The longest string of Node is shorter. */
const LARGE = 600 * MEBIBYTE;
/** The longest time without a turn of the event loop, in milliseconds: that of one chunk, on a busy machine. */
const LONGEST_TURN = 1000;

function directoryOf(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Does something, and returns its result and the longest time between two turns of the event loop, in milliseconds. */
async function watched<T>(action: () => Promise<T>): Promise<{ result: T; longest: number; turns: number }> {
  let longest = 0;
  let turns = 0;
  let last = performance.now();
  const turn = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    turns++;
  };
  const timer = setInterval(turn, 1);
  try {
    const result = await action();
    turn();
    return { result, longest, turns };
  } finally {
    clearInterval(timer);
  }
}

/** A packed file's name without its place; the numbers make it unique. */
function packedName(number: number): string {
  const key = Buffer.alloc(20);
  key.writeUInt32LE(100002, 0);
  key.writeUInt32BE(1795328179, 4);
  key.writeUInt32BE(0x88000000, 8);
  key.writeUInt32BE(1000, 12);
  key.writeUInt32BE(number, 16);
  const part = Buffer.alloc(12);
  for (const [index, value] of [1, number * 1024, 1024].entries()) part.writeUInt32BE(value, index * 4);
  return `${key.toString('base64url')}${part.toString('base64url')}123.txt`;
}

function header(allocated: number, size: number, tail: string): Buffer {
  const bytes = Buffer.alloc(24);
  bytes.write('F');
  bytes.writeUInt32BE(allocated, 1);
  bytes.writeUInt32BE(size, 5);
  bytes.write(tail, 17);
  return bytes;
}

// Seen to fail with a search through the rest of the chunk for each byte, and, the slot between two chunks, with each chunk read where
// the one before it ended.
t.test('a trunk file full of the bytes of a type is scanned in linear time, in many turns', async (t) => {
  const file = join(directoryOf(t), '000001');
  const bytes = Buffer.alloc(8 * MEBIBYTE, 'L');
  // The second begins in one chunk and ends in the next.
  const offsets = [512, 2 * MEBIBYTE - 10, 7 * MEBIBYTE + 3, bytes.length - 25];
  for (const [number, offset] of offsets.entries()) header(25, 1, `00${number}.txt`).copy(bytes, offset);
  writeFileSync(file, bytes);
  const { result, longest, turns } = await watched(async () => {
    const slots: Slot[] = [];
    for await (const slot of slotsOf(file)) slots.push(slot);
    return slots;
  });
  t.strictSame(
    result.map(({ offset, tail }) => [offset, tail]),
    offsets.map((offset, number) => [offset, `00${number}.txt`]),
  );
  t.ok(longest < LONGEST_TURN, `${longest} ms`);
  t.ok(turns > 4, `${turns} turns`);
});

// Seen to fail with readFileSync in chunksOf() of foreign.ts: one turn.
t.test('the names of a binlog are read whole, in many turns', async (t) => {
  const binlog = join(directoryOf(t), 'binlog.000');
  const names = Array.from({ length: 100_000 }, (_, number) => packedName(number));
  const lines = names.map((name) => `1795328179 C M00/00/1F/${name}\n`);
  writeFileSync(binlog, `${lines.join('')}1795328179 C M00/00/1F/short.txt\n\ngroup1/M00/00/1F/${packedName(100_000)}`);
  const packed = new PackedNames();
  const signal = new AbortController().signal;
  const { longest, turns } = await watched(() => packed.read([], [binlog], signal));
  t.strictSame(packed.in(0, 0x1f), [...names, packedName(100_000)]);
  t.ok(longest < LONGEST_TURN, `${longest} ms`);
  t.ok(turns > 4, `${turns} turns`);
  await t.rejects(new PackedNames().read([], [`${binlog}.gone`], signal), { code: 'ENOENT' });
  await t.rejects(new PackedNames().read([], [binlog], AbortSignal.abort()), { name: 'AbortError' });
  // Seen to wait without end.
  const pipe = join(directoryOf(t), 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const endless of [pipe, '/dev/zero'])
    await t.rejects(new PackedNames().read([], [endless], signal), { message: `${endless} is not a regular file` });
});

// Seen to fail (the second count) without the look at the deleted files in replication/adoption.ts.
t.test('a binlog longer than a string may be: the count and the adoption are complete', async (t) => {
  const { store, node } = await createOnFastdfs(t);
  const sync = join(store.roots[0] as string, 'data/sync');
  writeFileSync(join(sync, 'binlog.002'), '');
  truncateSync(join(sync, 'binlog.002'), LARGE);
  const packed = [...store.packed.keys()].find((id) => !store.links.includes(id) && !store.metadata.has(id)) as string;
  appendFileSync(join(sync, 'binlog.002'), `\n1795328179 C ${packed.slice(packed.indexOf('/') + 1)}\n`);
  const counted = async (count: number) => node.until(async () => (await node.status()).foreign === count, 'counted');
  await node.start();
  const all = allOf(store);
  await counted(all.size + 1);
  t.equal((await node.delete(packed)).status, 204);
  await counted(all.size);
  await node.stop();
  await node.start();
  await counted(all.size);
  t.match((await adopt(node)).report, { files: all.size - 1, unnamed: 0, left: 1 });
});
