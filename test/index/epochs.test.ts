import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Index } from '../../daemon/index/index.js';
import { atAnotherTime } from '../helpers/clock.js';

/** Opens an index and begins an epoch, like a start of the daemon. */
function startOf(file: string, { continues = true } = {}): Index {
  const index = new Index(file);
  index.replicationLog.enabled = true;
  index.replicationLog.beginEpoch({ continues });
  return index;
}

function append(index: Index, count: number): void {
  for (let made = 0; made < count; made++) index.replicationLog.append(Buffer.alloc(20, made));
  index.replicationLog.publish();
}

t.test('a cursor', async (t) => {
  const directory = t.testdir({});
  const file = join(directory, 'index.db');
  const first = startOf(file);
  append(first, 20);
  const before = first.replicationLog.epoch;
  await first.close();
  const old = join(directory, 'old.db');
  copyFileSync(file, old);
  const second = startOf(file);
  append(second, 60);
  const after = second.replicationLog.epoch;

  await t.test('stays good over a start, up to where the run that it is of ended', async (t) => {
    t.equal(second.replicationLog.stateOf({ epoch: before, sequence: 20 }), 'known');
    t.equal(second.replicationLog.stateOf({ epoch: after, sequence: 80 }), 'known');
    t.equal(second.replicationLog.stateOf({ epoch: after, sequence: 5 }), 'known');
  });

  // Seen to fail with the current end of the log instead of the epoch's in stateOf().
  await t.test('beyond the end of its run proves that the log has lost something', async (t) => {
    t.equal(second.replicationLog.stateOf({ epoch: before, sequence: 21 }), 'diverged');
    t.equal(second.replicationLog.stateOf({ epoch: after, sequence: 81 }), 'diverged');
  });

  // Seen to fail with 'gap' for every unknown epoch.
  await t.test('of a run that an older copy knows nothing of proves it, too', async (t) => {
    const restored = startOf(old);
    append(restored, 100);
    t.equal(restored.replicationLog.stateOf({ epoch: after, sequence: 80 }), 'diverged');
    t.equal(restored.replicationLog.stateOf({ epoch: after, sequence: 10 }), 'diverged');
    t.equal(restored.replicationLog.stateOf({ epoch: before, sequence: 20 }), 'known');
    restored.replicationLog.beginEpoch({ continues: false });
    t.equal(
      restored.replicationLog.stateOf({ epoch: after, sequence: 80 }),
      'gap',
      'and nothing more once it is put right',
    );
    t.equal(restored.replicationLog.stateOf({ epoch: before, sequence: 20 }), 'gap');
    await restored.close();
  });

  // Seen to fail with Date.now() alone in begin(): the later epoch is taken for one from before the index was created.
  await t.test('of a run that began with the clock behind is younger all the same', async (t) => {
    const copy = join(directory, 'copy.db');
    copyFileSync(file, copy);
    const late = join(directory, 'late.db');
    copyFileSync(file, late);
    const behind = await atAnotherTime(-3_600_000_000, async () => startOf(late));
    append(behind, 10);
    const cursor = { epoch: behind.replicationLog.epoch, sequence: behind.replicationLog.published };
    await behind.close();
    const restored = startOf(copy);
    append(restored, 100);
    t.equal(restored.replicationLog.stateOf(cursor), 'diverged');
    await restored.close();
  });

  // Seen to fail with a larger and with a smaller KEPT.
  await t.test('stays good for 1,000 starts', async (t) => {
    const often = startOf(join(directory, 'often.db'));
    append(often, 5);
    const cursor = { epoch: often.replicationLog.epoch, sequence: 5 };
    for (let starts = 0; starts < 1000; starts++) often.replicationLog.beginEpoch({ continues: true });
    t.equal(often.replicationLog.stateOf(cursor), 'known');
    often.replicationLog.beginEpoch({ continues: true });
    t.equal(often.replicationLog.stateOf(cursor), 'gap', 'and proves nothing then');
    await often.close();
  });

  await t.test('of a log that was made anew since proves nothing, and is worth nothing', async (t) => {
    const fresh = startOf(join(directory, 'fresh.db'));
    append(fresh, 100);
    t.equal(fresh.replicationLog.stateOf({ epoch: after, sequence: 80 }), 'gap');
    t.equal(fresh.replicationLog.stateOf({ epoch: '', sequence: 0 }), 'gap');
    await fresh.close();
  });

  await t.test('before what is left of the log is worth nothing', async (t) => {
    second.replicationLog.truncate(30);
    t.equal(second.replicationLog.stateOf({ epoch: before, sequence: 20 }), 'gap');
    t.equal(second.replicationLog.stateOf({ epoch: after, sequence: 30 }), 'known');
  });

  await t.test('of a time without peers, when nothing was logged, is worth nothing afterwards', async (t) => {
    await second.close();
    const alone = startOf(file, { continues: false });
    t.equal(alone.replicationLog.stateOf({ epoch: after, sequence: 80 }), 'gap');
    await alone.close();
  });
});
