import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';

const project = new URL('../../../', import.meta.url);

interface Mutation {
  name: string;
  file: string;
  from: string;
  to: string;
  tests: string[];
}

// Seen to fail with a line of the source changed that a mutation names.
t.test('what npm run mutate breaks stands once in the sources, and the tests it names are there', async (t) => {
  const list = new URL('test/mutations/mutations.mjs', project);
  const { mutations }: { mutations: Mutation[] } = await import(list.href);
  t.ok(mutations.length > 100);
  for (const { name, file, from, tests } of mutations) {
    t.equal(readFileSync(new URL(file, project), 'utf8').split(from).length - 1, 1, `${file}: ${name}`);
    for (const test of tests) t.ok(existsSync(new URL(`test/${test}.test.ts`, project)), test);
  }
});
