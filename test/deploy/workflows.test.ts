import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { run } from '../helpers/programs.js';
import { readWorkflow } from '../helpers/workflow.js';

const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));
const DIRECTORY = join(PROJECT, '.github/workflows');
const read = (file: string) => readFileSync(join(PROJECT, file), 'utf8');
const { version, scripts, engines } = JSON.parse(read('package.json')) as {
  version: string;
  scripts: Record<string, string>;
  engines: { node: string };
};

for (const file of readdirSync(DIRECTORY)) {
  test(`${file} is a workflow whose commands are there`, async (t) => {
    const { mistakes, jobs } = await readWorkflow(file, readFileSync(join(DIRECTORY, file), 'utf8'));
    t.strictSame(mistakes, []);
    t.ok(jobs.length > 0);
    for (const { id, steps } of jobs) {
      for (const { uses, run: script } of steps) {
        if (uses !== undefined) t.match(uses, /^(?:actions\/[\w-]+@v\d+|\.\/)/, `${id}: an action pinned to a major`);
        if (script === undefined) continue;
        // A tag or a branch may be named so that it ends a quoted string: such values come by the environment.
        t.notMatch(script, '${{', `${id}: no expression in a script`);
        const { status, stderr } = await run('bash', ['-n', '-c', script]);
        t.equal(status, 0, `${id}: ${stderr}`);
        for (const [, name = ''] of script.matchAll(/npm run (\S+)/g)) t.ok(scripts[name], `npm run ${name}`);
        for (const [path] of script.matchAll(/(?:\.ci|bin|deploy)\/[\w./-]+/g)) {
          // /usr/local/bin is none of ours.
          if (!script.includes(`/${path}`)) t.ok(existsSync(join(PROJECT, path)), path);
        }
      }
    }
  });
}

test('the check of workflows finds mistakes', async (t) => {
  const text = read('.github/workflows/test.yml');
  const mistakesWith = async (from: string, to: string) => {
    t.ok(text.includes(from));
    return (await readWorkflow('test.yml', text.replace(from, to))).mistakes.join('\n');
  };
  t.match(await mistakesWith('runs-on', 'run-on'), /Unexpected value 'run-on'/);
  t.match(await mistakesWith('startsWith(', 'startWith('), /Unrecognized function/);
  t.match(await mistakesWith('{{ matrix.node', '{{ matrx.node'), /Unrecognized named-value/);
});

test('the suite runs with the oldest Node that package.json allows, and by .ci/run', (t) => {
  const text = read('.github/workflows/test.yml');
  const oldest = /\d+/.exec(engines.node)?.[0];
  t.match(text, `node: [${oldest}, `);
  t.match(text, /^ {8}run: \.ci\/run$/m);
  t.end();
});

test('the notes of a release are the section of its version', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-notes-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const changelog = join(directory, 'CHANGELOG.md');
  const notes = (tag: string) => run(process.execPath, [join(PROJECT, 'bin/release-notes.mjs'), tag, changelog]);
  writeFileSync(
    changelog,
    `# Changelog\n\n## Unreleased\n\n- Later.\n\n## ${version} (2026-11-27)\n\n- One.\n\nChanges:\n\n- Two.\n\n## 0.0.1\n\n- Old.\n`,
  );
  t.match(await notes(`v${version}`), { status: 0, stdout: '- One.\n\nChanges:\n\n- Two.\n', stderr: '' });
  // Seen to fail without the comparison: the packages would have another version than the release.
  t.match(await notes('v99.0.0'), { status: 1, stdout: '', stderr: /package\.json has version/ });
  writeFileSync(changelog, `# Changelog\n\n## Unreleased\n\n- All.\n\n## ${version}\n\n## 0.0.1\n\n- Old.\n`);
  t.match(await notes(`v${version}`), { status: 1, stdout: '', stderr: /or nothing in it/ });
  writeFileSync(changelog, '# Changelog\n\n## Unreleased\n\n- All.\n');
  t.match(await notes(`v${version}`), { status: 1, stdout: '', stderr: /has no section/ });
});
