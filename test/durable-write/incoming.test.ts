import { pbkdf2 } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import t, { type Test } from 'tap';
import { IncomingFile, type PartialFile } from '../../daemon/store/incoming-file.js';
import { Reservation } from '../../daemon/store/reservation.js';
import { RunningDigest } from '../../daemon/store/running-digest.js';
import { StorePath } from '../../daemon/store/store-path.js';
import { seeded } from '../helpers/random.js';

const work = promisify(pbkdf2);
const MIB = 2 ** 20;

/** Keeps all threads of the pool busy, so that file system calls are delayed and reordered. */
function keepPoolBusy(t: Test): void {
  let ending = false;
  const workers = Array.from({ length: 6 }, async () => {
    while (!ending) await work('password', 'salt', 500, 32, 'sha256');
  });
  t.teardown(async () => {
    ending = true;
    await Promise.all(workers);
  });
}

function openPath(t: Test): StorePath {
  const path = new StorePath(0, join(t.testdir({}), 'path'), { bytes: 0 });
  path.open(undefined);
  return path;
}

let counter = 0;

function partial(storePath: StorePath): PartialFile {
  const temporary = storePath.openTemporary(`upload-${counter++}`);
  return { ...temporary, storePath, digest: new RunningDigest() };
}

/** Number of pending file system calls in the thread pool. */
async function underWay(): Promise<number> {
  await setImmediate(); // a call that has just ended is still counted
  return process.getActiveResourcesInfo().filter((what) => what === 'FSReqCallback').length;
}

t.test('a file that ends while the disk is behind', async (t) => {
  const storePath = openPath(t);

  await t.test('has all its bytes when its end resolves', async (t) => {
    const file = partial(storePath);
    const incoming = IncomingFile.resume(file, new Reservation(storePath, 0), false, () => {});
    incoming.write(Buffer.alloc(MIB, 1));
    t.ok(incoming.write(Buffer.alloc(64 * MIB, 2)), 'the sender is to wait');
    await incoming.suspend();
    t.equal(statSync(file.path).size, 65 * MIB);
    t.equal(await underWay(), 0, 'nothing is under way');
  });

  // Seen to fail (the bytes are accepted) without the checks of `closing` and `failure` in write().
  await t.test('and is given up, is gone, and nothing is written any more', async (t) => {
    const file = partial(storePath);
    const incoming = IncomingFile.resume(file, new Reservation(storePath, 0), false, () => {});
    incoming.write(Buffer.alloc(MIB, 1));
    incoming.write(Buffer.alloc(64 * MIB, 2));
    await incoming.discard();
    t.equal(await underWay(), 0, 'nothing is under way');
    t.notOk(existsSync(file.path));
    t.throws(() => incoming.write(Buffer.alloc(1)), 'what comes later is refused');
  });

  await t.test('and is given up in the middle of its end, is closed once', async (t) => {
    const file = partial(storePath);
    const incoming = IncomingFile.resume(file, new Reservation(storePath, 0), true, () => {});
    incoming.write(Buffer.alloc(MIB, 1));
    incoming.write(Buffer.alloc(8 * MIB, 2));
    const ended = incoming.suspend();
    await Promise.all([t.rejects(ended), incoming.discard()]);
    t.equal(await underWay(), 0, 'nothing is under way');
    t.notOk(existsSync(file.path));
  });
});

// Seen to fail in several of ten rounds with an end that awaits only the running write, not the one queued behind it.
for (const flushes of [false, true]) {
  t.test(`${flushes ? 'with' : 'without'} flushes and with a busy thread pool, no end comes too early`, async (t) => {
    const random = seeded(t);
    const storePath = openPath(t);
    keepPoolBusy(t);
    let short = 0;
    for (let round = 0; round < 10; round++) {
      const file = partial(storePath);
      const stable: { size: number; crc32: number }[] = [];
      const incoming = IncomingFile.resume(file, new Reservation(storePath, 0), flushes, (now) => stable.push(now));
      const content: Buffer[] = [];
      for (let chunk = random.below(3); chunk >= 0; chunk--) {
        const isLast = chunk === 0;
        const bytes = Buffer.alloc(isLast ? 16 * MIB : MIB + random.below(MIB), random.below(256));
        content.push(bytes);
        const pressure = incoming.write(bytes);
        // The last chunk is received when the client disconnects, or the limit is reached: nobody waits for it.
        if (!isLast) await (random.below(2) === 0 ? pressure : undefined);
      }
      await incoming.suspend();
      const there = readFileSync(file.path);
      if (!there.equals(Buffer.concat(content))) short++;
      for (const { size, crc32: crc } of stable)
        t.equal(crc32(there.subarray(0, size)), crc, 'what is said to be stable');
      if (flushes && there.length > 2 * MIB) t.not(stable.length, 0, 'said to be stable as it grows');
    }
    t.equal(short, 0, 'files that were not whole when their end resolved');
  });
}

// Seen to fail (two files left) without the check of `failure` in finish().
t.test('what was given up cannot be finished', async (t) => {
  const storePath = openPath(t);
  for (const size of [10, MIB]) {
    const incoming = new IncomingFile((bytes) => new Reservation(storePath, bytes), undefined, true);
    incoming.write(Buffer.alloc(size));
    await incoming.discard();
    await t.rejects(incoming.finish('txt'), `${size} bytes`);
  }
  t.strictSame(readdirSync(join(storePath.root, 'tmp')), []);
});
