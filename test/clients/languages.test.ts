import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { TestNode } from '../helpers/node.js';
import { missing, run } from '../helpers/programs.js';
import { seeded } from '../helpers/random.js';

const page = readFileSync(new URL('../../../docs/clients.md', import.meta.url), 'utf8');
const CLIENTS = fileURLToPath(new URL('../../../clients', import.meta.url));
/** The code in the documentation, by language. */
const codes = new Map(
  [...page.matchAll(/^## (\w+)\n[\s\S]*?```\w+\n([\s\S]*?)```/gm)].map(([, title = '', code]) => [title, code]),
);

/** How the code of a language is run; server, key and file are its last arguments. */
interface Language {
  title: string;
  file: string;
  /** Code appended to that of the documentation, which calls it. */
  call: string;
  program: string;
  /** The program that it needs. */
  needs: string;
}

const LANGUAGES: Language[] = [
  {
    ...{ title: 'Node', file: 'upload.mjs', program: process.execPath, needs: process.execPath },
    call: 'process.stdout.write(await upload(...process.argv.slice(2)));',
  },
  {
    ...{ title: 'Python', file: 'upload.py', program: 'python3', needs: 'python3' },
    call: '\nimport sys\nprint(upload(*sys.argv[1:]))',
  },
  { title: 'Java', file: 'Upload.java', call: '', program: 'java', needs: 'javac' },
];

t.test('the code of docs/clients.md stores files unchanged, and reports why an upload was refused', async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t);
  const directory = t.testdir();
  const content = random.bytes(3_000_000);
  const file = join(directory, 'a "1" + ü.jpg');
  writeFileSync(file, content);
  const empty = join(directory, 'empty.tar.gz');
  writeFileSync(empty, '');
  for (const { title, file: name, call, program, needs } of LANGUAGES) {
    await t.test(title, { skip: missing(needs) }, async (t) => {
      const code = codes.get(title) ?? '';
      t.not(code, '', 'it is there');
      const script = join(directory, name);
      writeFileSync(script, `${code}${call}\n`);
      if (title === 'Java') await run('javac', ['-d', directory, join(CLIENTS, 'java/Fidfs.java')]);
      // Java decodes file names by the locale.
      const env = {
        LC_ALL: 'C.UTF-8',
        PYTHONDONTWRITEBYTECODE: '1',
        PYTHONPATH: join(CLIENTS, 'python'),
        CLASSPATH: directory,
      };
      const send = (key: string, path: string) => run(program, [script, node.origin, key, path], env);
      // Seen to fail with another file sent.
      const { status, stdout, stderr } = await send(node.key, file);
      t.equal(status, 0, stderr);
      const id = stdout.trimEnd();
      t.match(id, /^group1\/M00\/.*\.jpg$/);
      t.ok((await node.get(id)).body.equals(content));
      const nothing = (await send(node.key, empty)).stdout.trimEnd();
      t.match(nothing, /\.tar\.gz$/);
      t.match(await node.get(nothing), { status: 200, headers: { 'content-length': '0' } });
      // Seen to fail without the status in the exception.
      const refused = await send('not-the-key-0123456789', file);
      t.not(refused.status, 0);
      t.match(refused.stderr, /401 .*wrong.key/i);
    });
  }
});
