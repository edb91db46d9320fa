import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
/** What the repository consists of; other directories of a working tree are made by programs. */
const DIRECTORIES = [
  'bench',
  'bin',
  'clients',
  'console',
  'daemon',
  'deploy',
  'docs',
  'examples',
  'file-id',
  'nginx',
  'njs',
  'test',
];

const files = DIRECTORIES.flatMap((directory) =>
  readdirSync(join(ROOT, directory), { recursive: true, encoding: 'utf8' }).map((file) => join(directory, file)),
);
const names = new Set(files.map((file) => basename(file)));
const pages = [...files, ...readdirSync(ROOT)].filter((file) => file.endsWith('.md'));
const code = files
  .filter((file) => /^(?:daemon|nginx|njs|file-id|console)\/.*\.tsx?$/.test(file))
  .map((file) => readFileSync(join(ROOT, file), 'utf8'));

/** The first group of each match in a text. */
function found(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '');
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): string[] {
  const headings = found(readFileSync(join(ROOT, page), 'utf8'), /^#+ +(.*)$/gm);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** Whether a link of a page, without a scheme, leads to a file and a heading. */
function leadsSomewhere(link: string, page: string): boolean {
  const [path = '', anchor] = link.split('#', 2);
  const target = path === '' ? page : join(dirname(page), path);
  if (!existsSync(join(ROOT, target))) return false;
  return anchor === undefined || anchorsOf(target).includes(anchor);
}

/** Whether a source file is named by its path from the root, or by its name alone. */
function exists(path: string): boolean {
  return existsSync(join(ROOT, path)) || names.has(path);
}

/** Whether `name` or `Class.name` is defined in the code. */
function isDefined(reference: string): boolean {
  const [name = '', owner] = reference.split('.').reverse();
  // A member of a class stands two blanks in.
  const definition = owner === undefined ? `function\\*? ${name}\\b` : `^ {2}(?:[a-z]+ )*\\*?${name}(?:\\(|<| = )`;
  const pattern = new RegExp(definition, 'm');
  return code.some((text) => (owner === undefined || text.includes(`class ${owner} `)) && pattern.test(text));
}

// Seen to fail with a source file renamed, a function renamed, and a heading changed to which a page links.
t.test('every link, source file and function that the documentation names exists', async (t) => {
  for (const page of pages) {
    const text = readFileSync(join(ROOT, page), 'utf8');
    const links = found(text, /\]\((?!https?:|mailto:)([^)\s]+)\)/g).filter((link) => !leadsSomewhere(link, page));
    t.strictSame(links, [], `the links of ${page}`);
    const sources = found(text, /(?<![\w./<>-])((?:[\w.-]+\/)*[\w.-]+\.(?:tsx?|mjs))\b/g);
    const quoted = found(text, /`((?:[\w.-]+\/)+[\w.-]*)`/g);
    const paths = quoted.filter((path) => DIRECTORIES.some((directory) => path.startsWith(`${directory}/`)));
    const missing = [...sources, ...paths].filter((path) => !exists(path));
    t.strictSame(missing, [], `the files that ${page} names`);
    const functions = found(text, /`((?:[A-Z]\w*\.)?[a-z]\w*)\(\)`/g).filter((name) => !isDefined(name));
    t.strictSame(functions, [], `the functions that ${page} names`);
  }
});
