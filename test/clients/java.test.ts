import { fileURLToPath } from 'node:url';
import t from 'tap';
import { clientNode } from '../helpers/client-node.js';
import { missing, run } from '../helpers/programs.js';

const CLIENT = fileURLToPath(new URL('../../../clients/java', import.meta.url));

t.test('clients/java', { skip: missing('javac') }, async (t) => {
  const { node, env } = await clientNode(t);
  const directory = t.testdir();
  const options = ['--release', '17', '-Xlint:all', '-Werror', '-encoding', 'UTF-8', '-d', directory];
  const compiled = await run('javac', [...options, `${CLIENT}/Fidfs.java`, `${CLIENT}/FidfsTest.java`]);
  t.equal(compiled.status, 0, 'it compiles without a warning', { stderr: compiled.stderr });
  // Files of 200 MB are sent with less memory.
  const words = ['-Xmx64m', '-Dfile.encoding=UTF-8', '-cp', directory, 'FidfsTest', directory];
  const { status, stdout, stderr } = await run('java', words, env);
  const results = [...stdout.matchAll(/^(ok|not ok) (.*)$/gm)];
  for (const [, result, name = ''] of results) t.equal(result, 'ok', name, { stderr });
  t.ok(results.length > 10, 'all of them were run');
  t.equal(status, 0, stderr);
  await node.assertClean(t);
});
