import { join } from 'node:path';
import t from 'tap';
import { Index } from '../../daemon/index/index.js';
import { MAX_TRIES, type MissingFile } from '../../daemon/index/missing.js';
import type { FileRecord } from '../../daemon/store/records.js';
import fileId from '../../file-id/file-id.js';

function record(counter: number): FileRecord {
  const key = fileId.encodeKey({ serverId: 2, created: 1_795_000_000, size: 1000, crc32: 0, counter });
  const name = `${key.toString('base64url')}417.jpg`;
  return { key, name, storePath: 0, directory: 0, size: 1000, sha256: Buffer.alloc(32, counter) };
}

t.test('a missing file', async (t) => {
  const index = new Index(join(t.testdir({}), 'index.db'));
  t.teardown(() => index.close());
  const { missing } = index;
  const file = record(1);
  // The test controls the clock, because it tests pauses.
  const { now } = performance;
  let time = Math.floor(performance.now());
  performance.now = () => time;
  t.teardown(() => {
    performance.now = now;
  });
  missing.add(file, { peer: 2, sequence: 7 });
  missing.add(record(2), { peer: 2, sequence: 8 });

  await t.test('that fails is tried again after growing pauses, and in the end set aside', async (t) => {
    const pauses: number[] = [];
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      const due = missing.due(10).find(({ name }) => name === file.name) as MissingFile;
      t.ok(due, `attempt ${attempt}`);
      // Seen to fail without the limit in due(), and without the pause in failed().
      t.equal(missing.failed(due, 'the wrong bytes'), attempt === MAX_TRIES);
      const began = time;
      const isDue = () => missing.due(10).some(({ name }) => name === file.name);
      while (!isDue() && time - began < 3_600_000) time += 50;
      pauses.push(time - began);
    }
    t.strictSame(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 3_600_000]);
    t.match(missing.setAside(), [{ name: file.name, reason: 'the wrong bytes', tries: MAX_TRIES }]);
    t.match(missing.totals, { all: 2, aside: 1 });
  });

  await t.test('that is set aside holds up no other, and is not said to be here', async (t) => {
    t.match(missing.due(10), [{ name: record(2).name }]);
    t.strictSame(missing.sequencesOf(2).sort(), [7, 8]);
  });

  await t.test('for which nobody could be asked is tried for ever', async (t) => {
    for (let attempt = 0; attempt < 3 * MAX_TRIES; attempt++) {
      const [due] = missing.due(10) as [MissingFile];
      missing.postponed(due, 'nobody is there');
      time += 3000;
    }
    t.match(missing.due(10), [{ name: record(2).name }]);
  });

  await t.test('that anti-entropy finds again has all its tries again', async (t) => {
    missing.add(file);
    t.match(missing.due(10)[1], { name: file.name, peer: 2, sequence: 7, tries: 0 });
  });

  // Seen to fail without ORDER BY in due(), and without forgetPeer.
  await t.test('that has waited longest is tried first', async (t) => {
    for (const counter of [5, 4, 3]) {
      missing.add(record(counter), { peer: 3, sequence: counter });
      time += 10;
    }
    const names = missing.due(10).map(({ name }) => name);
    const added = [5, 4, 3].map((counter) => record(counter).name);
    t.strictSame(
      names.filter((name) => added.includes(name)),
      added,
    );
    missing.forgetSequences(3);
    t.strictSame(missing.sequencesOf(3), [], 'and has no number any more when those mean other entries');
    t.ok(missing.sequencesOf(2).length > 0, 'which those of another peer do not');
    t.ok(missing.find(record(4).key));
    for (const counter of [5, 4, 3]) missing.remove(record(counter).key);
  });

  // Seen to fail (none) with the limit instead of LOOKED_AT.
  await t.test('that is not wanted now keeps no other from its turn', async (t) => {
    for (const counter of [6, 7, 8]) missing.add(record(counter));
    time += 10;
    missing.add(record(9));
    const { name } = record(9);
    t.match(
      missing.due(1, (other) => other.name === name),
      [{ name }],
    );
    for (const counter of [6, 7, 8, 9]) missing.remove(record(counter).key);
  });

  // Seen to fail without selectNeverDue.
  await t.test('is tried although the clock was years ahead when an earlier run wrote it down', async (t) => {
    missing.remove(file.key);
    time += 1e11;
    missing.add(file);
    time -= 1e11;
    t.ok(missing.due(10).some(({ name }) => name === file.name));
  });
});
