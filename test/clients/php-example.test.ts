import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { TestNode } from '../helpers/node.js';
import { plainJpeg } from '../helpers/pictures.js';
import { freePort } from '../helpers/ports.js';
import { missing, runFor } from '../helpers/programs.js';

const START = fileURLToPath(new URL('../../../examples/php/start', import.meta.url));
const DOWNLOAD_KEY = 'download-key-0123456789';

t.test('the gallery of examples/php', { skip: missing('php') }, async (t) => {
  const node = await TestNode.start(t, { env: { FIDFS_DOWNLOADS: 'signed', FIDFS_DOWNLOAD_KEY: DOWNLOAD_KEY } });
  const address = `127.0.0.1:${await freePort()}`;
  const env = { FIDFS_SERVERS: node.origin, FIDFS_KEY: node.key, FIDFS_DOWNLOAD_KEY: DOWNLOAD_KEY };
  runFor(t, START, [address], { ...env, GALLERY_FILE: join(t.testdir(), 'gallery.json') });
  let cookie = '';
  const ask = async (body?: FormData) => {
    const answer = await fetch(`http://${address}/`, {
      method: body ? 'POST' : 'GET',
      headers: { cookie },
      body: body ?? null,
      redirect: 'manual',
    });
    cookie = answer.headers.getSetCookie()[0]?.split(';')[0] ?? cookie;
    return { status: answer.status, headers: Object.fromEntries(answer.headers), text: await answer.text() };
  };
  const isUp = () =>
    ask().then(
      ({ status }) => status === 200,
      () => false,
    );
  await node.until(isUp, 'serving the page');
  const token = /name="csrf" value="(\w{64})"/.exec((await ask()).text)?.[1] ?? '';
  const form = (fields: Record<string, string | [content: Buffer | string, name: string]>) => {
    const made = new FormData();
    for (const [name, value] of Object.entries({ csrf: token, ...fields })) {
      if (typeof value === 'string') made.append(name, value);
      else made.append(name, new Blob([value[0]]), value[1]);
    }
    return made;
  };
  const links = (page: string) =>
    [...page.matchAll(/(?:src|href)="(http[^"]*)"/g)].map(([, link = '']) => link.replaceAll('&amp;', '&'));
  const statuses = (all: string[]) => Promise.all(all.map(async (link) => (await fetch(link)).status));
  const jpeg = await plainJpeg(90, 90);
  const hostile = `<script>alert(1)<!--"'&.php`;

  // Seen to fail without html() in the page, with the name in place of the extension, without the check of the token, and
  // without the question whether the gallery has what is deleted.
  t.equal(
    (await ask(form({ csrf: 'x', 'pictures[]': [jpeg, 'a.jpg'] }))).status,
    403,
    'without the token nothing is stored',
  );
  t.match(await ask(form({ 'pictures[]': [jpeg, hostile] })), { status: 303, headers: { location: '/' } });
  const page = await ask();
  t.match(page.headers['content-security-policy'], /^default-src 'none'; .*frame-ancestors 'none'/);
  t.match(page.text, 'Stored.');
  t.match(page.text, '&lt;script&gt;alert(1)&lt;!--%22&#039;&amp;.php');
  t.notMatch(page.text, '<script');
  const shown = links(page.text);
  t.match(shown, [
    /\/picture\/console\/group1\/.*\.jpg\?expires=.*&signature=/,
    /\.jpg\?expires=.*&signature=.*&download=%3Cscript/,
  ]);
  t.strictSame(await statuses(shown), [200, 200], 'the thumbnail and the link that ends');

  for (const [field, content] of [
    ['pictures[]', '<html>'],
    ['pictures[a][b]', jpeg],
  ] as const) {
    t.equal((await ask(form({ [field]: [content, 'a.jpg'] }))).status, 303);
    t.match((await ask()).text, /a\.jpg is no JPEG|This is another form/, `${field} stores nothing`);
  }
  const { id } = await node.upload(jpeg, '?ext=jpg');
  await ask(form({ delete: id }));
  t.ok(node.hasFile(id), 'what is not in the gallery is not deleted');
  await ask(form({ delete: /name="delete" value="([^"]*)"/.exec(page.text)?.[1] ?? '' }));
  t.match((await ask()).text, 'Deleted.');
  t.strictSame(links((await ask()).text), []);
  await node.until(async () => `${await statuses(shown)}` === '404,404', 'without the picture', 5);
});
