import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { StoreError } from '../../daemon/store/errors.js';
import type { SyncMode } from '../../daemon/store/file-system.js';
import { content, prepare, work } from '../helpers/durable-changes.js';
import { check, checkCopies } from '../helpers/durable-check.js';
import { type Fault, FaultyDisk } from '../helpers/faults.js';
import { kill, open, upload } from '../helpers/faulty-store.js';
import { seeded } from '../helpers/random.js';

/*
 * Fault injection: each system call by which the durable write changes a disk fails once, or from then on, in a process that
 * continues or is killed. If STORM_ROUNDS is set, all combinations are run.
 */

const CODES = ['ENOSPC', 'EIO', 'EROFS', 'EMFILE', 'short'];
const LONG = process.env.STORM_ROUNDS !== undefined;

/** Runs everything once with a fault. Resolves with the number of calls and the errors found. */
async function run(
  template: string,
  directory: string,
  ids: readonly string[],
  mode: SyncMode,
  fault: Fault,
): Promise<{ calls: number; wrong: string[] }> {
  cpSync(template, directory, { recursive: true });
  const disk = new FaultyDisk({ ...fault, at: Number.POSITIVE_INFINITY });
  const modules = await open(directory, mode, disk);
  const began = disk.count;
  Reflect.set(disk, 'fault', { ...fault, at: fault.at + began });
  const outcome = await work(modules, ids);
  const calls = disk.count - began;
  const wrong: string[] = [];
  if (outcome.cursor > 0) wrong.push(...checkCopies(modules, outcome.copies));
  // The disk works again: the process continues, unless a sync failed.
  disk.heal();
  for (const path of modules.paths) path.refresh();
  modules.store.writer.removeLeftovers();
  const [after] = await upload(modules, content.after).catch((error: unknown) => {
    const isStopped = disk.failed.some((name) => name.includes('sync') && name !== 'fdatasync');
    if (!isStopped || !(error instanceof StoreError) || error.code !== 'unavailable')
      wrong.push(`it does not go on: ${error}`);
    return [];
  });
  if (after !== undefined) outcome.kept.set(after, content.after);
  await kill(modules);
  const again = await open(directory, mode);
  for await (const problem of check(again, outcome, !fault.isLasting)) wrong.push(`after a restart: ${problem}`);
  await again.store.close();
  await again.index.close();
  rmSync(directory, { recursive: true });
  return { calls, wrong };
}

async function everyCall(t: Test, mode: SyncMode, faults: (at: number) => Omit<Fault, 'at'>[]): Promise<void> {
  const base = t.testdir({});
  const template = join(base, 'template');
  mkdirSync(template);
  const ids = await prepare(template);
  const well = await run(template, join(base, 'well'), ids, mode, {
    at: Number.POSITIVE_INFINITY,
    code: 'none',
    isLasting: false,
  });
  t.strictSame(well.wrong, [], 'all is well without a fault');
  t.ok(well.calls > 40, `${well.calls} calls`);
  let runs = 0;
  for (let at = 1; at <= well.calls; at++) {
    for (const fault of faults(at)) {
      const { wrong } = await run(template, join(base, 'run'), ids, mode, { ...fault, at });
      if (wrong.length > 0)
        t.fail(`call ${at} of ${well.calls}, ${fault.code}${fault.isLasting ? ', lasting' : ''}`, { wrong });
      runs++;
      await setImmediate();
    }
  }
  t.comment(`${runs} runs`);
}

for (const mode of ['batch', 'file'] as const) {
  t.test(
    `with "sync": "${mode}", whichever call of the disk fails, nothing acknowledged is lost and nothing stays half done`,
    async (t) => {
      const { below, pick } = seeded(t);
      const some = () => [{ code: pick(CODES), isLasting: below(3) === 0 }];
      const all = () => CODES.flatMap((code) => [false, true].map((isLasting) => ({ code, isLasting })));
      await everyCall(t, mode, LONG ? all : some);
    },
  );
}
