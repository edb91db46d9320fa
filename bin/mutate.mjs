// Mutation testing: applies one mutation at a time to a copy of the tree, and runs the tests that must fail:
// npm run mutate [-- WORD…]. Prints the mutations that survive. Their list is in test/mutations/mutations.mjs.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mutations } from '../test/mutations/mutations.mjs';
import { orExit, prepare, root } from './prepare.mjs';

await orExit(prepare);

const { default: ts } = await import('typescript');
const COPIED = ['bin', 'clients', 'daemon', 'file-id', 'nginx', 'njs', 'console', 'bench', 'test', 'docs', 'dist'];
COPIED.push('examples', 'package.json', 'package-lock.json', 'tsconfig.json');
const words = process.argv.slice(2);
const chosen = mutations.filter(({ name, file }) => words.every((word) => `${file} ${name}`.includes(word)));
const copy = mkdtempSync(join(tmpdir(), 'fidfs-mutate-'));
const survivors = [];
try {
  for (const entry of COPIED) {
    // Keeps timestamps, because the tests' nodes would compile newer sources.
    cpSync(join(root, entry), join(copy, entry), { recursive: true, preserveTimestamps: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  for (const test of new Set(chosen.flatMap(({ tests }) => tests))) {
    if (fails(test)) throw new Error(`${test} fails without any mutation, and so says nothing`);
  }
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
  const source = readFileSync(join(copy, file), 'utf8');
  const isNjs = file.startsWith('njs/');
  // These are run, or compiled by their tests, as they are.
  const isSource = /\.(php|py|java)$/.test(file);
  const program = join(copy, isSource ? file : programOf(file));
  const before = readFileSync(program);
  // Compiles this file only, without type checks, which a mutation may break.
  const mutated = source.replace(from, () => to);
  const compilerOptions = { target: isNjs ? 'ES5' : 'ES2022', module: 'ESNext', verbatimModuleSyntax: true };
  writeFileSync(program, isSource ? mutated : ts.transpileModule(mutated, { compilerOptions }).outputText);
  try {
    return tests.some(fails) ? 'noticed' : 'SURVIVED';
  } finally {
    writeFileSync(program, before);
  }
}

/** What a source is compiled to. */
function programOf(file) {
  const script = file.replace(/ts$/, 'js');
  if (file.startsWith('clients/js/')) return script.replace('/src/', '/dist/');
  return join(file.startsWith('njs/') ? 'dist/njs' : 'dist', script);
}

function fails(test) {
  const { status } = spawnSync(process.execPath, [`dist/test/${test}.test.js`], {
    ...{ cwd: copy, stdio: 'ignore', timeout: 300_000 },
    env: { ...process.env, TAP_TIMEOUT: '240', TEST_SEED: '1' },
  });
  return status !== 0;
}
