// Breaks one promise at a time in a copy of the tree, and runs the tests that must notice: npm run mutate [-- WORD…]
// Prints the survivors. What is broken, and what must fail, is in test/mutations.mjs.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mutations } from '../test/mutations.mjs';
import { orExit, prepare, root } from './prepare.mjs';

await orExit(prepare);

const words = process.argv.slice(2);
const chosen = mutations.filter(({ name, file }) => words.every((word) => `${file} ${name}`.includes(word)));
const copy = mkdtempSync(join(tmpdir(), 'fidfs-mutate-'));
const survivors = [];
try {
  for (const entry of ['daemon', 'file-id', 'nginx', 'njs', 'bench', 'test', 'dist', 'package.json', 'tsconfig.json']) {
    cpSync(join(root, entry), join(copy, entry), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  for (const mutation of chosen) {
    const verdict = outcome(mutation);
    if (verdict !== 'noticed') survivors.push(mutation.name);
    process.stdout.write(`${verdict.padEnd(9)} ${mutation.file}: ${mutation.name}\n`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
process.stdout.write(`${chosen.length} mutations, ${survivors.length} survivors\n`);
for (const name of survivors) process.stdout.write(`  ${name}\n`);
process.exitCode = survivors.length > 0 ? 1 : 0;

function outcome({ file, from, to, tests }) {
  const place = join(copy, file);
  const before = readFileSync(place, 'utf8');
  if (before.split(from).length !== 2) throw new Error(`${file} has ${before.split(from).length - 1} times: ${from}`);
  writeFileSync(
    place,
    before.replace(from, () => to),
  );
  try {
    // What the mutation breaks of the types does not matter.
    spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc')], { cwd: copy, stdio: 'ignore' });
    const fails = (test) => {
      const { status } = spawnSync(process.execPath, [`dist/test/${test}.test.js`], {
        ...{ cwd: copy, stdio: 'ignore', timeout: 120_000 },
        env: { ...process.env, TAP_TIMEOUT: '100', TEST_SEED: '1' },
      });
      return status !== 0;
    };
    return tests.some(fails) ? 'noticed' : 'SURVIVED';
  } finally {
    writeFileSync(place, before);
  }
}
