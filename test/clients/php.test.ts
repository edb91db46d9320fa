import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { TestNode } from '../helpers/node.js';
import { missing, run } from '../helpers/programs.js';
import { seeded } from '../helpers/random.js';

const page = readFileSync(new URL('../../../docs/clients.md', import.meta.url), 'utf8');
const scripts = [...page.matchAll(/^## (PHP .*)\n\n```php\n([^`]*)```/gm)];

t.test('the PHP code of docs/clients.md stores files unchanged', { skip: missing('php') }, async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t);
  const directory = t.testdir();
  t.strictSame(
    scripts.map(([, title]) => title),
    ['PHP with curl', 'PHP without any extension'],
  );
  const modules = (await run('php', ['-m'])).stdout;
  for (const [, title = '', code = ''] of scripts) {
    const skip = title.includes('curl') && !/^curl$/m.test(modules) && 'php-curl is not installed here';
    await t.test(title, { skip }, async (t) => {
      const script = join(directory, `${title}.php`);
      writeFileSync(script, `${code}\necho fidfs_upload($argv[1], $argv[2], $argv[3]);\n`);
      // Seen to fail with other content in the files.
      for (const size of [0, 1000, 3_000_000]) {
        const content = random.bytes(size);
        const file = join(directory, `a ${size} ü.jpg`);
        writeFileSync(file, content);
        const { status, stdout, stderr } = await run('php', [script, node.origin, node.key, file]);
        t.equal(status, 0, `${size} bytes`, { stderr });
        t.match(stdout, /^group1\/M00\/.*\.jpg$/);
        t.ok((await node.get(stdout)).body.equals(content));
      }
      // Seen to fail without the @ before fopen (a warning), and without the status in the exception.
      const refusals: [server: string, says: RegExp][] = [
        [node.origin, /RuntimeException: fidfs: 401 .*Wrong key/],
        ['http://127.0.0.1:1', /RuntimeException: fidfs: .*(?:refused|Failed to connect)/],
      ];
      for (const [server, says] of refusals) {
        const refused = await run('php', ['-d', 'display_errors=1', script, server, 'not-the-key', script]);
        t.equal(refused.status, 255);
        const said = refused.stdout + refused.stderr;
        t.match(said, says);
        t.notMatch(said, /Warning|Notice|Deprecated/);
      }
    });
  }
});
