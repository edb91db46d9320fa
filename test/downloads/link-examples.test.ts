import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { linkQuery } from '../../daemon/config/signed-link.js';
import type { Ended } from '../helpers/node.js';
import { missing, run } from '../helpers/programs.js';

/* The examples of docs/http.md that sign links, each run by its language. */

const DOCUMENT = readFileSync(new URL('../../../docs/http.md', import.meta.url), 'utf8');
const KEY = "the key's 16 to 256 $visible\\ characters".replaceAll(' ', '-');
const ID = 'group1/M00/00/00/AQAAAGsCqhmAO3ipAAST4HsUpnM370.jpg';
const TARGETS = [
  { id: ID, expires: 1795329672, download: '', preset: '' },
  { id: ID, expires: 1795329672, download: 'Hafen bei Nacht, 100 % "schön" & mehr+.jpg', preset: '' },
  { id: ID, expires: 1, download: '', preset: 'thumb' },
];

function example(language: string): string {
  return new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'ms').exec(DOCUMENT)?.[1] ?? '';
}

/** Runs the example of a language for each target. `call` runs it with the five values; the text of the example is in a file. */
async function check(
  t: Test,
  [language, file, program]: [language: string, file: string, program: string],
  wrap: (text: string) => string,
  isEncoded = true,
): Promise<void> {
  const path = join(t.testdir({ [file]: '' }), file);
  writeFileSync(path, wrap(example(language)));
  for (const target of TARGETS) {
    const { id, expires, download, preset } = target;
    const { stdout, stderr }: Ended = await run(program, [path, KEY, id, String(expires), download, preset]);
    const found = Object.fromEntries(new URLSearchParams(stdout.trim()));
    const wanted = Object.fromEntries(new URLSearchParams(linkQuery(KEY, target)));
    if (!isEncoded) delete wanted.download;
    t.strictSame(found, wanted, stderr);
  }
}

t.test('the shell signs as the node does', { skip: missing('openssl') }, (t) =>
  check(t, ['sh', 'link.sh', 'sh'], (text) => `${text}\nlink "$@"\n`, false),
);

t.test('PHP signs as the node does', { skip: missing('php') }, (t) =>
  check(
    t,
    ['php', 'link.php', 'php'],
    (text) => `<?php\n${text}\n[, $k, $i, $e, $d, $p] = $argv;\necho link_query($k, $i, (int) $e, $d, $p);\n`,
  ),
);

t.test('JavaScript signs as the node does', (t) =>
  check(
    t,
    ['js', 'link.mjs', process.execPath],
    (text) => `${text}\nconsole.log(linkQuery(...process.argv.slice(2)));\n`,
  ),
);

t.test('Python signs as the node does', { skip: missing('python3') }, (t) =>
  check(t, ['python', 'link.py', 'python3'], (text) => `${text}\nimport sys\nprint(link_query(*sys.argv[1:]))\n`),
);

t.test('Java signs as the node does', { skip: missing('java', 'javac') }, (t) =>
  check(
    t,
    ['java', 'Link.java', 'java'],
    (text) => `class Link {
public static void main(String[] a) throws Exception {
  System.out.println(linkQuery(a[0], a[1], Long.parseLong(a[2]), a[3], a[4]));
}
${text}}\n`,
  ),
);
