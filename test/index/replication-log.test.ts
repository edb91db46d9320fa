import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Index } from '../../daemon/index/index.js';
import { Acknowledgements } from '../../daemon/replication/acknowledgements.js';
import type { StoredFile } from '../../daemon/store/records.js';
import fileId from '../../file-id/file-id.js';
import { atAnotherTime } from '../helpers/clock.js';
import { seeded } from '../helpers/random.js';

t.test('what followers say', async (t) => {
  const directory = t.testdir({});
  const index = new Index(join(directory, 'index.db'));
  t.teardown(() => index.close());
  const { replicationLog } = index;
  replicationLog.enabled = true;
  replicationLog.beginEpoch({ continues: true });
  for (let number = 0; number < 5; number++) replicationLog.append(Buffer.alloc(20, number));
  replicationLog.publish();
  const acknowledgements = new Acknowledgements(replicationLog, () => false);
  const question = { incarnation: replicationLog.epoch, from: 0, after: 5, without: [3], fetching: [], wait: 0 };

  await t.test('of this log counts, but for what they say is missing', async (t) => {
    acknowledgements.heard(2, question);
    t.equal(acknowledgements.countFor(5), 1);
    t.equal(acknowledgements.countFor(3), 0);
    acknowledgements.heard(2, { ...question, from: 4 });
    t.equal(acknowledgements.countFor(4), 0, 'what lies before what it knows of');
    t.equal(acknowledgements.countFor(5), 1);
    acknowledgements.heard(2, { ...question, after: 4, without: [] });
    t.equal(acknowledgements.countFor(5), 0, 'nor what lies beyond its cursor');
  });

  // Seen to fail with `valid = true` in heard().
  await t.test('of another log counts for nothing', async (t) => {
    acknowledgements.heard(2, { ...question, incarnation: 'another' });
    t.equal(acknowledgements.countFor(5), 0);
    acknowledgements.heard(2, { ...question, after: 6 });
    t.equal(acknowledgements.countFor(5), 0, 'nor what lies beyond its end');
  });

  // Seen to fail without onDiverged in heard(), and when it is called for every invalid cursor.
  await t.test('of what this log has lost is told, and nothing else', async (t) => {
    const told: number[][] = [];
    const some = new Acknowledgements(
      replicationLog,
      () => false,
      (...what) => told.push(what),
    );
    some.heard(2, question);
    some.heard(2, { ...question, incarnation: 'another' });
    t.strictSame(told, []);
    some.heard(3, { ...question, after: 6 });
    t.strictSame(told, [[3, 6]]);
  });

  // Seen to fail without isDown, without `waiting`, and without SILENCE_MILLISECONDS.
  await t.test(
    'of itself: a follower is there while it waits or was heard a moment ago, and is not down',
    async (t) => {
      const { now } = performance;
      let time = now.call(performance);
      performance.now = () => time;
      t.teardown(() => {
        performance.now = now;
      });
      const down = new Set<number>();
      const some = new Acknowledgements(replicationLog, (id) => down.has(id));
      const { answered } = some.heard(2, question);
      time += 3_600_000;
      t.strictSame(some.live, [2], 'it waits for news');
      down.add(2);
      t.strictSame(some.live, []);
      down.clear();
      answered();
      t.strictSame(some.live, [2]);
      time += 60_000;
      t.strictSame(some.live, []);
    },
  );

  // Seen to fail in passedByAll() without `without`, and without the 0 for a follower that has sent no request.
  await t.test('says how far the log is of no use any more', async (t) => {
    const some = new Acknowledgements(replicationLog, () => false);
    some.heard(2, { ...question, without: [] });
    t.equal(some.passedByAll([2]), 5);
    t.equal(some.passedByAll([2, 3]), 0, 'one has not been heard');
    some.heard(3, { ...question, after: 4, without: [] });
    t.equal(some.passedByAll([2, 3]), 4);
    some.heard(2, { ...question, without: [5, 3] });
    t.equal(some.passedByAll([2, 3]), 2, 'for what one lacks the log is kept');
  });

  // Seen to fail without each line of forget(), and without the comparison of `membership` in heard().
  await t.test('counts no more when it is not a member any more', async (t) => {
    const some = new Acknowledgements(replicationLog, () => false);
    const { now } = performance;
    let time = now.call(performance);
    performance.now = () => time;
    t.teardown(() => {
      performance.now = now;
    });
    const { answered } = some.heard(2, { ...question, without: [] });
    some.heard(3, { ...question, without: [5] });
    const both = some.waitFor([5], 2, 60_000);
    const one = some.waitFor([4, 5], 1, 60_000);
    t.equal(await one, true);
    some.forget(2, 1);
    t.equal(some.countFor(5), 0);
    t.strictSame(some.live, [3]);
    let settled: boolean | undefined;
    void both.then((enough) => {
      settled = enough;
    });
    await sleep(0);
    t.equal(settled, undefined, 'what it held is no copy');
    some.heard(3, { ...question, without: [] });
    t.equal(await both, true, 'and there is no other to wait for');
    some.heard(2, question);
    answered();
    time += 60_000;
    t.ok(some.live.includes(2), 'an answer to it from before says nothing about it now');
    const alone = some.waitFor([6], 1, 60_000);
    some.forget(3, 1);
    some.forget(2, 0);
    t.equal(await alone, true);
  });

  // Seen to fail (1) without underWay in underReplicated.
  await t.test('counts as under-copied when it is too little and nobody waits for more', async (t) => {
    acknowledgements.heard(2, { ...question, after: 4, without: [] });
    t.equal(acknowledgements.underReplicated(2), 1);
    const held = acknowledgements.waitFor([5], 1, 60_000);
    t.equal(acknowledgements.underReplicated(2), 0, 'an upload under way is no trouble');
    acknowledgements.heard(2, { ...question, without: [5] });
    t.equal(acknowledgements.underReplicated(2), 0, 'nor one whose bytes are being fetched');
    acknowledgements.heard(2, { ...question, without: [] });
    t.equal(await held, true);
    acknowledgements.heard(2, { ...question, without: [5] });
    t.equal(acknowledgements.underReplicated(2), 1, 'but one that is lost after its answer');
  });

  // Seen to fail with Date.now() instead of performance.now() in acknowledgements.ts: settled with false immediately.
  await t.test('is waited for as long as was said, whatever becomes of the time of day', async (t) => {
    acknowledgements.heard(2, { ...question, after: 0, without: [] });
    let settled: boolean | undefined;
    const held = acknowledgements.waitFor([5], 1, 60_000).then((enough) => {
      settled = enough;
    });
    await atAnotherTime(3_600_000, async () => {
      t.strictSame(acknowledgements.live, [2]);
      // Longer than two intervals in which waiters are checked.
      await sleep(500);
      t.equal(settled, undefined);
    });
    await atAnotherTime(-3_600_000, async () => acknowledgements.heard(2, { ...question, without: [] }));
    await held;
    t.equal(settled, true);
  });

  // Seen to fail without each of the three lines of newlyAcknowledged() that add entries, and without `advanced` in progressOf.
  await t.test('settles who waits for it, and nobody else', async (t) => {
    const random = seeded(t);
    for (let number = 5; number < 60; number++) replicationLog.append(Buffer.alloc(20, number));
    replicationLog.publish();
    const some = new Acknowledgements(replicationLog, () => false);
    const settled = new Map<readonly number[], boolean>();
    const wrong: unknown[] = [];
    const look = async (round: number) => {
      await Promise.resolve();
      for (const [entries, isSettled] of settled) {
        const isHeld = entries.every((entry) => some.countFor(entry) >= 2);
        if (isHeld !== isSettled) wrong.push({ round, entries, isHeld, isSettled });
        if (isSettled) settled.delete(entries);
      }
    };
    for (let round = 0; round < 2000; round++) {
      const first = 1 + random.below(55);
      const numbers = Array.from({ length: 1 + random.below(4) }, (_, offset) => first + offset);
      settled.set(numbers, false);
      void some.waitFor(numbers, 2, 60_000).then(() => settled.set(numbers, true));
      await look(round);
      const after = random.below(60);
      const without = Array.from({ length: random.below(4) }, () => random.below(60));
      const from = random.below(8) === 0 ? random.below(60) : 0;
      some.heard(2 + random.below(3), { ...question, after, without, from });
      await look(round);
    }
    t.strictSame(wrong, []);
    some.settleAll();

    // A wait continues while there is progress.
    for (const id of [2, 3, 4]) some.heard(id, { ...question, after: 0, without: [] });
    let outcome: boolean | undefined;
    void some.waitFor([60], 1, 1000).then((enough) => {
      outcome = enough;
    });
    for (let step = 1; step <= 8; step++) {
      await sleep(300);
      some.heard(2, { ...question, after: step, without: [] });
    }
    t.equal(outcome, undefined, 'a follower comes further');
    some.settleAll();
    await sleep(0);
    t.equal(outcome, false);

    // Seen to fail without the patience in lookAtWaiters(), and when every request with `fetching` counts as progress.
    const waits = some.waitFor([60], 1, 600);
    some.heard(2, { ...question, after: 60, without: [60], fetching: [[60, 1000]] });
    const repeat = setInterval(() => {
      some.heard(2, { ...question, after: 60, without: [60], fetching: [[60, 1000]] });
    }, 100);
    t.equal(await waits, false, 'bytes that do not come any more are no progress');
    clearInterval(repeat);
    let bytes = 1000;
    const grow = setInterval(() => {
      bytes += 1000;
      some.heard(2, { ...question, after: 60, without: [60], fetching: [[60, bytes]] });
    }, 100);
    void some.waitFor([60], 1, 600).then((enough) => {
      outcome = enough;
    });
    outcome = undefined;
    await sleep(1500);
    t.equal(outcome, undefined, 'those that come are');
    // Seen to fail (false) when `fetched` counts as progress only for the entry being fetched.
    const behind: (boolean | undefined)[] = [undefined, undefined];
    some.heard(2, { ...question, after: 58, without: [60, 57] });
    for (const [place, entry] of [57, 59].entries())
      void some.waitFor([entry], 1, 600).then((enough) => {
        behind[place] = enough;
      });
    const holding = some.waitFor([50, 60], 2, 600);
    clearInterval(grow);
    const other = setInterval(() => {
      bytes += 1000;
      some.heard(2, { ...question, after: 58, without: [56, 57], fetching: [[56, bytes]] });
    }, 100);
    await sleep(1500);
    t.strictSame(behind, [undefined, undefined], 'and those of what comes before it');
    clearInterval(other);
    t.equal(await holding, false, 'as long as they come');
    some.settleAll();
  });

  // Seen to fail with a constant instead of randomBytes in epochs.ts.
  await t.test('is of another log when the index was made anew', async (t) => {
    const again = new Index(join(directory, 'again.db'));
    t.teardown(() => again.close());
    again.replicationLog.beginEpoch({ continues: true });
    t.not(again.replicationLog.epoch, replicationLog.epoch);
  });
});

function storedFile(number: number, accepted = true): StoredFile {
  const created = 1_795_000_000 + number;
  const key = fileId.encodeKey({ serverId: accepted ? 1 : 2, created, size: 10, crc32: 0, counter: number });
  const name = `${key.toString('base64url')}417.jpg`;
  const place = { storePath: 0, directory: 0, name };
  const id = fileId.join('group1', 0, 0, name);
  return { id, key, ...place, size: 10, crc32: 0, created, sha256: Buffer.alloc(32, number), accepted };
}

/*
 * Seen to fail, each in its subtest: without each condition of write() in batch-writer.ts; without rollBackTo() and the counts
 * in record(); with `last` instead of `published` in read(); with 0, or only the cut, as the last number at a start.
 */
t.test('the log', async (t) => {
  const file = join(t.testdir({}), 'index.db');
  let index = new Index(file);
  t.teardown(() => index.close());
  index.replicationLog.enabled = true;
  const { checkpoint } = index;
  const [own, copy, later] = [storedFile(1), storedFile(2, false), storedFile(3)];
  const numbers = () => index.replicationLog.read(0, 100).map(({ sequence, key }) => [sequence, key.toString('hex')]);
  const entryOf = (number: number, { key }: StoredFile) => [number, key.toString('hex')];

  await t.test('has what clients asked of this node once it is durable, and no copies', async (t) => {
    index.record({ added: [own, copy], removed: [], checkpoint });
    t.strictSame(numbers(), [], 'not durable yet');
    index.publish();
    t.strictSame(numbers(), [entryOf(1, own)]);
    t.match(index.replicationLog.read(0, 1)[0], { added: { name: own.name }, removed: undefined });
    t.match(index.totals, { files: 2, bytes: 20 });
  });

  await t.test('has nothing of a transaction that failed, and gives its numbers out again', async (t) => {
    const failing = {
      ...checkpoint,
      toJSON: () => {
        throw new Error('at the very end, as on a full disk');
      },
    };
    t.throws(() => index.record({ added: [later], removed: [], checkpoint: failing }), /at the very end/);
    t.match(index.totals, { files: 2, bytes: 20 });
    index.record({ added: [later], removed: [], checkpoint });
    index.publish();
    t.strictSame(numbers(), [entryOf(1, own), entryOf(2, later)]);
    t.equal(index.replicationLog.published, 2);
  });

  await t.test('has the deletions that clients asked for; foreign files leave no tombstone', async (t) => {
    const foreign = { ...storedFile(4), foreign: true };
    const removed = [
      { ...own, foreign: false },
      { ...copy, foreign: false },
      { ...foreign, accepted: true },
    ];
    index.record({ added: [], removed, checkpoint });
    index.publish();
    t.strictSame(numbers().slice(2), [entryOf(3, own), entryOf(4, foreign)]);
    t.match(
      index.replicationLog.read(0, 1)[0],
      { added: undefined, removed: undefined },
      'what came and went is nothing',
    );
    const [deletion] = index.replicationLog.read(2, 1);
    t.equal(deletion?.added, undefined);
    t.match(deletion?.removed, { name: own.name, foreign: false });
    t.strictSame(
      [own, copy, foreign, later].map(({ key }) => index.isDeleted(key)),
      [true, true, false, false],
    );
  });

  await t.test('of a file that comes again after its deletion tells the deletion alone', async (t) => {
    // No file with a tombstone is added again, but even if the index had one, a deletion must not be sent as an upload.
    index.record({ added: [{ ...own, accepted: false }], removed: [], checkpoint });
    t.equal(index.replicationLog.read(2, 1)[0]?.added, undefined);
    index.record({ added: [], removed: [{ ...own, foreign: false, accepted: false }], checkpoint });
  });

  await t.test('goes on after its newest number at a start, truncated or not', async (t) => {
    for (const cut of [1, 4]) {
      index.replicationLog.truncate(cut);
      await index.close();
      index = new Index(file);
      index.replicationLog.enabled = true;
      t.equal(index.replicationLog.last, 4);
      t.equal(index.replicationLog.published, 4);
      t.equal(index.replicationLog.startsAfter, cut);
    }
  });

  await t.test('of a peer was followed so far, from there on, until its cursors are invalidated', async (t) => {
    const cursor = { epoch: 'one', sequence: 9, from: 3 };
    index.replicationLog.moveCursor(2, cursor);
    t.strictSame({ ...index.replicationLog.cursor(2) }, cursor);
    index.invalidateCursors();
    t.equal(index.replicationLog.cursor(2), undefined);
  });
});
