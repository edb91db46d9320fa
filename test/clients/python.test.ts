import { fileURLToPath } from 'node:url';
import t from 'tap';
import { clientNode } from '../helpers/client-node.js';
import { missing, run } from '../helpers/programs.js';

const CLIENT = fileURLToPath(new URL('../../../clients/python', import.meta.url));

t.test('clients/python', { skip: missing('python3') }, async (t) => {
  const { node, env } = await clientNode(t);
  const words = ['-B', '-W', 'error::ResourceWarning', '-m', 'unittest', '-v', 'test_fidfs'];
  const { status, stderr } = await run('python3', words, env, CLIENT);
  const results = [...stderr.matchAll(/^(test_\w+) .*\.\.\. (.*)$/gm)];
  for (const [, name = '', result] of results) t.equal(result, 'ok', name);
  t.ok(results.length > 10, 'all of them were run');
  t.equal(status, 0, 'without a fault', { stderr });
  await node.assertClean(t);
});
