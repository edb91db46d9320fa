// npm test: sets up the clone, runs the linter and the type checks, then the tests. Arguments are passed to tap.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { orExit, prepare, root } from './prepare.mjs';

await orExit(prepare);

function run(program, ...args) {
  const { status } = spawnSync(process.execPath, [join(root, 'node_modules', program), ...args], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(status ?? 1);
}

run('@biomejs/biome/bin/biome', 'check', '.');
run('tap/dist/esm/run.mjs', ...process.argv.slice(2), '--output-file=dist/test-results.tap');
