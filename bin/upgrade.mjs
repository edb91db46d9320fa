// Tests upgrades from the previous release and back: npm run test:upgrade. Sets up the clone; arguments are passed to tap.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { orExit, prepare, root } from './prepare.mjs';
import { releaseBefore } from './release-before.mjs';

await orExit(prepare);
await orExit(() => {
  const { name, directory, reason } = releaseBefore();
  const env = { ...process.env, UPGRADE_FROM: directory ?? '', UPGRADE_FROM_NAME: name ?? reason };
  const tap = join(root, 'node_modules/tap/dist/esm/run.mjs');
  const tests = ['node', 'group'].map((test) => `dist/test/upgrade/${test}.test.js`);
  const words = ['--exclude=**/node_modules/**', '--output-file=dist/upgrade-results.tap', ...process.argv.slice(2)];
  const { status } = spawnSync(process.execPath, [tap, ...tests, ...words], { cwd: root, env, stdio: 'inherit' });
  process.exitCode = status ?? 1;
});
