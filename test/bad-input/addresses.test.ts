import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { TestNode, uploadedOf } from '../helpers/node.js';
import { head, outcome, raw } from '../helpers/raw.js';

const node = await TestNode.start(t);
const pid = node.daemonPid();
const { id } = await node.upload(Buffer.from('the file'), '?ext=txt');
// Files that no address may serve.
writeFileSync(join(node.storePath, 'secret'), 'a secret');
writeFileSync(join(node.storePath, 'data', 'secret'), 'a secret');
const [, , , , name = ''] = id.split('/');
const prefix = id.slice(0, -name.length);

const HOSTILE = [
  '..',
  '../../etc/passwd',
  `${prefix}../../../secret`,
  `${prefix}../../secret`,
  `${prefix}..%2f..%2fsecret`,
  `${prefix}%2e%2e/%2e%2e/secret`,
  `${prefix}%2e%2e%2f%2e%2e%2fsecret`,
  `${prefix}%252e%252e/secret`,
  `${prefix}..%5c..%5csecret`,
  `${prefix}..\\..\\secret`,
  `${prefix}.../secret`,
  `group1/M00/../secret`,
  'group1/M00/..%2fsecret',
  'group1/M01/00/00/x',
  'group1/M00/../tombstones',
  'group1/M00/data/00/00/x',
  `${id}%00`,
  `${id}%00.jpg`,
  `${prefix}%00${name}`,
  `${id}/`,
  `${id}/..`,
  `${id}//`,
  `${id}%20`,
  `${id}%0d%0aX-Evil:1`,
  `${id}-m`,
  id.toLowerCase(),
  id.replaceAll('/', '\\'),
  id.replaceAll('/', '%5c'),
  `${prefix}${'A'.repeat(255)}`,
  `${prefix}${'A'.repeat(5000)}`,
  `${prefix}%FF%FE`,
  `.fidfs/modified/${id}`,
  `.fidfs/problem/400`,
  '%',
  '%zz',
  'a b',
];

async function outcomes(method: string, before: string, addresses: string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const address of addresses) {
    const answer = await raw(t, node, head(node, `${method} /${before}${address}`, { Connection: 'close' }));
    const leaks = answer.text.includes('a secret') || answer.text.includes('X-Evil');
    if (leaks || !/^40[045] /.test(outcome(answer)))
      found.set(address.slice(0, 60), `${outcome(answer)} ${answer.body}`);
  }
  return found;
}

// Seen to fail without `internal` in the location of /.fidfs/modified.
t.test('traversal in any form, by GET, HEAD, DELETE, POST or to /info, is 400, 404 or 405', async (t) => {
  for (const method of ['GET', 'DELETE', 'POST']) {
    t.strictSame(await outcomes(method, '', HOSTILE), new Map(), method);
  }
  t.strictSame(await outcomes('GET', 'info/', HOSTILE), new Map(), '/info');
});

// Seen to fail (301) without `error_page 301` in the location of downloads.
t.test('a name whose file is a directory is 404', async (t) => {
  const other = `${prefix}AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg`;
  mkdirSync(join(node.storePath, 'data/00/00', other.slice(prefix.length)));
  t.strictSame(
    [
      outcome(await node.get(other)),
      outcome(await node.get(`${other}/`)),
      outcome(await node.get(`${other}/x`)),
      outcome(await node.delete(other)),
    ],
    new Array(4).fill('404 not-found'),
  );
  t.equal((await node.request(`/${other}`, { method: 'HEAD' })).status, 404);
});

// Seen to fail without the test for control characters in njs/download.ts.
t.test('CR, LF and other controls in ?download= are left out of the name, and no header is injected', async (t) => {
  const hostile = [
    'a%0d%0aX-Evil:1',
    'a%0aX-Evil:1',
    'a%0d',
    '%00',
    'a%00.jpg',
    '%7f',
    '%c2%85',
    '%ff',
    '%zz',
    '%e2%80%a8',
  ];
  for (const parameter of ['download', 'filename']) {
    const found = new Map<string, string>();
    for (const value of hostile) {
      const answer = await raw(t, node, head(node, `GET /${id}?${parameter}=${value}`));
      const { 'content-disposition': name, 'x-evil': evil } = answer.headers;
      const isSafe = /^attachment(?:; filename="[ -~]*"; filename\*=UTF-8''[\w.%~!-]+)?$/.test(name ?? '');
      if (answer.status !== 200 || answer.body !== 'the file' || evil || !isSafe) found.set(value, answer.text);
    }
    t.strictSame(found, new Map(), parameter);
  }
});

t.test('non-ASCII in ?download= names the download as RFC 6266 says', async (t) => {
  const names: [query: string, header: string][] = [
    ['%D1%84%D0%BE%D1%82%D0%BE.jpg', `attachment; filename="____.jpg"; filename*=UTF-8''%D1%84%D0%BE%D1%82%D0%BE.jpg`],
    ['a%22b%5Cc.txt', `attachment; filename="a_b_c.txt"; filename*=UTF-8''a%22b_c.txt`],
    ['..%2f..%2fetc', `attachment; filename=".._.._etc"; filename*=UTF-8''.._.._etc`],
    ["it's.txt", `attachment; filename="it's.txt"; filename*=UTF-8''it%27s.txt`],
    ['caf%C3%A9%20(1).txt', `attachment; filename="caf_ (1).txt"; filename*=UTF-8''caf%C3%A9%20%281%29.txt`],
  ];
  const found: typeof names = [];
  for (const [query] of names) {
    const answer = await raw(t, node, head(node, `GET /${id}?download=${query}`));
    found.push([query, answer.headers['content-disposition'] ?? '']);
  }
  t.strictSame(found, names);
});

// Seen to fail with the configuration of `activeTypes: inline`.
t.test('an upload that a browser would run is never rendered on our origin', async (t) => {
  const page = Buffer.from('<!doctype html><script>alert(document.domain)</script>');
  const types = [
    'html',
    'HTML',
    'htm',
    'xhtml',
    'xht',
    'shtml',
    'svg',
    'SVG',
    'svgz',
    'xml',
    'xsl',
    'xslt',
    'js',
    'mjs',
  ];
  types.push('rdf', 'rss', 'atom', 'mathml', 'swf', 'mht', 'mhtml', 'eml', 'hta', 'htc', 'wsdl', 'gpx', 'kml');
  const wrong: string[] = [];
  const inert =
    /^(?:text\/(?:plain|css|csv|x-[\w-]+)(?:; charset=utf-8)?|application\/(?:octet-stream|[\w.+-]*(?:json|zip|gzip)))$/;
  const check = async (what: string, address: string) => {
    const { headers } = await node.get(address);
    const attached = String(headers['content-disposition'] ?? '').startsWith('attachment');
    const type = String(headers['content-type']);
    if (headers['x-content-type-options'] !== 'nosniff' || !(attached || inert.test(type))) {
      wrong.push(`${what}: ${type} ${headers['content-disposition']}`);
    }
  };
  for (const ext of types) await check(ext, (await node.upload(page, `?ext=${ext}`)).id);
  for (const type of ['text/html', 'image/svg+xml', 'application/xhtml+xml; charset=utf-8', 'text/xml', '']) {
    const [file] = uploadedOf(await node.post(page, '', type === '' ? {} : { 'content-type': type }));
    await check(type, file?.id ?? '');
    await check(`${type} with a name`, `${file?.id}?download=a.html`);
  }
  t.strictSame(wrong, []);
});

t.test('and afterwards the daemon lives and nothing is wrong on the disk', async (t) => {
  t.equal(node.daemonPid(), pid);
  await node.assertClean(t);
});
