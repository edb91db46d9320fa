// Sets up the clone and repeats the crash and cluster tests: npm run storm -- --rounds 1000 [--sync batch|file|off]
// Needs root for the power cuts. TEST_SEED=<number> repeats the random choices of a run.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { orExit, prepare, root } from './prepare.mjs';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '100' }, sync: { type: 'string' } } });

await orExit(prepare);

const env = { ...process.env, STORM_ROUNDS: values.rounds, TAP_TIMEOUT: '0' };
if (values.sync !== undefined) env.STORM_SYNC = values.sync;
let failed = false;
for (const name of [
  'durable-write/faults',
  'crashes/power-cut',
  'crashes/kill',
  'events/kills',
  'resumable/power-cut',
  'adopt/power-cut',
  'cluster/power-cut',
  'cluster/storm',
  'cluster/partition',
  'cluster/fuzz',
  'cluster/failing-disks',
]) {
  const test = join(root, 'dist/test', `${name}.test.js`);
  const { status } = spawnSync(process.execPath, ['--enable-source-maps', test], { cwd: root, env, stdio: 'inherit' });
  failed ||= status !== 0;
}
process.exitCode = failed ? 1 : 0;
