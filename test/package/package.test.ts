import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { findNginx } from '../../nginx/programs.js';
import { TestNode } from '../helpers/node.js';
import { run } from '../helpers/programs.js';

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));

/** Creates a directory for PATH with the programs that a start of the package calls, without npm. */
function pathWithoutNpm(directory: string): string {
  mkdirSync(directory);
  const nginx = findNginx()?.nginx;
  if (!nginx) throw new Error('nginx and njs are missing, though "npm test" installs them');
  const programs = { nginx, node: process.execPath, sh: '/bin/sh', env: '/usr/bin/env', id: '/usr/bin/id' };
  for (const [name, program] of Object.entries(programs)) symlinkSync(program, join(directory, name));
  return directory;
}

t.test('the package', async (t) => {
  const scratch = mkdtempSync(join(tmpdir(), 'fidfs-package-'));
  t.teardown(() => rmSync(scratch, { recursive: true }));
  const installed = join(scratch, 'fidfs');
  const assembled = await run(process.execPath, [join(PROJECT, 'bin/assemble.mjs'), installed]);
  t.match(assembled, { status: 0, stderr: '' }, assembled.stderr);

  await t.test('has the files that a node needs, without sources, tests and development packages', async (t) => {
    const files = readdirSync(installed, { recursive: true }) as string[];
    const own = files.filter((file) => !file.startsWith('node_modules/'));
    t.strictSame(
      own.filter((file) =>
        /\.(?:tsx?|map)$|^(?:dist\/)?(?:test|bench)(?:\/|$)|^(?:\.|var|console|tsconfig)/.test(file),
      ),
      [],
    );
    for (const file of ['README.md', 'LICENSE', 'CHANGELOG.md', 'docs/settings.md', 'dist/console/index.html']) {
      t.ok(own.includes(file), file);
    }
    // Seen to fail with typescript among the dependencies.
    const { dependencies, devDependencies } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8'));
    const there = (name: string) => existsSync(join(installed, 'node_modules', name));
    t.strictSame(
      Object.keys(dependencies).filter((name) => !there(name)),
      [],
      'every dependency is there',
    );
    // fastify needs these, too.
    const shared = ['ajv', 'ajv-formats'];
    const found = Object.keys(devDependencies).filter((name) => there(name) && !shared.includes(name));
    t.strictSame(found, [], 'no development package is there');
    for (const name of ['typescript', 'vite', 'preact', 'tus-js-client', 'hash-wasm', 'tap']) {
      t.ok(name in devDependencies, `${name} is a development package`);
    }
  });

  // Seen to fail (there are no sources to compile) with bin/prepare.mjs in the package.
  await t.test('starts without npm, takes and serves an upload, and serves the page', async (t) => {
    const env = { PATH: pathWithoutNpm(join(scratch, 'path')) };
    const node = await TestNode.start(t, { program: join(installed, 'bin/fidfs.mjs'), env });
    const body = Buffer.from('stored by a package');
    const { id } = await node.upload(body, '?ext=txt');
    const answer = await node.get(id);
    t.equal(answer.status, 200);
    t.ok(answer.body.equals(body));
    t.equal((await node.get('/console/')).status, 200);
    t.match(JSON.parse((await node.get(`/info/${id}`)).body.toString()), { id, size: body.length });
    await node.assertClean(t);
    t.notMatch(node.log, /installing|building/);
  });

  // Seen to fail without the check at the start: the output was a list of paths that were tried, without advice.
  await t.test("reports what to do if npm has not built SQLite's addon", async (t) => {
    rmSync(join(installed, 'node_modules/better-sqlite3/build'), { recursive: true });
    const env = { PATH: join(scratch, 'path'), FIDFS_DATA: join(scratch, 'data') };
    const { status, stderr } = await run(process.execPath, [join(installed, 'bin/fidfs.mjs'), 'start'], env);
    t.equal(status, 1);
    t.match(stderr, /^fidfs: the addon of better-sqlite3 is missing/);
    t.ok(stderr.endsWith(`  npm rebuild --prefix ${installed} better-sqlite3\n`), stderr);
  });
});
