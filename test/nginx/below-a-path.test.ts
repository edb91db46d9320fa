import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { Upload } from 'tus-js-client';
import { findNginx } from '../../nginx/programs.js';
import { problemOf } from '../helpers/assert-problem.js';
import { noBrowser, withConsole } from '../helpers/browser.js';
import { createCluster, startAll } from '../helpers/cluster.js';
import { Link } from '../helpers/link.js';
import { type Answer, type TestNode, uploadedOf } from '../helpers/node.js';
import { freePort } from '../helpers/ports.js';
import { runFor } from '../helpers/programs.js';
import { seeded } from '../helpers/random.js';
import { begin, send, stateOf } from '../helpers/tus.js';

const DOCUMENTATION = fileURLToPath(new URL('../../../docs/nginx.md', import.meta.url));
/** A PNG of one pixel. */
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

/** The configuration of an nginx without njs, with the documentation's `server`; `port` is the node's. */
function configuration(directory: string, listen: number, port: number): string {
  const section = readFileSync(DOCUMENTATION, 'utf8').split('## A proxy in front, below a path')[1] ?? '';
  const [, documented = ''] = /```nginx\n(.*?)```/s.exec(section) ?? [];
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `${process.getuid?.() === 0 ? 'user root;\n' : ''}daemon off;
pid "${directory}/nginx.pid";
error_log stderr warn;
events { }
http {
  access_log off;
  ${temporary.map((kind) => `${kind}_temp_path "${directory}/${kind}";`).join('\n  ')}
  server {
    listen 127.0.0.1:${listen};
    location / { return 404 "the site"; }
    ${documented.replace('127.0.0.1:8080', `127.0.0.1:${port}`)}
  }
}
`;
}

async function startProxy(t: Test, node: TestNode, listen: number): Promise<void> {
  const nginx = findNginx()?.nginx;
  if (!nginx) throw new Error('nginx and njs are missing, though "npm test" installs them');
  const directory = t.testdir();
  const file = join(directory, 'nginx.conf');
  writeFileSync(file, configuration(directory, listen, node.port));
  runFor(t, nginx, ['-e', 'stderr', '-p', directory, '-c', file]);
}

t.test('a node below a path of another site', async (t) => {
  const random = seeded(t);
  const port = await freePort();
  const site = `http://127.0.0.1:${port}`;
  const publicUrl = `${site}/files`;
  const nodes = await createCluster(t, { groups: ['group1', 'group2'] });
  const [node] = nodes as [TestNode, TestNode];
  // Not set on the other group's node: addresses in its responses through the first node are those of the first node.
  node.configure({ FIDFS_PUBLIC_URL: `${publicUrl}/` });
  await startAll(nodes);
  await startProxy(t, node, port);
  const authorized = node.authorized();
  const ask = (path: string, headers = {}, origin = site): Promise<Answer> =>
    node.request(path, { method: 'GET', headers, origin });
  await node.until(() => ask('/files/healthz').then((answer) => answer.status === 200, () => false), 'reached'); // biome-ignore format: one line

  /** The origins: the proxy, which strips the path, and the node, with the path and without. */
  const ways = { proxy: publicUrl, path: `${node.origin}/files`, plain: node.origin };

  // Seen to fail (path) without belowPublicPath.
  for (const [way, origin] of Object.entries(ways)) {
    t.test(`files go in, come out and are deleted (${way})`, async (t) => {
      for (const group of ['group1', 'group2']) {
        const content = random.bytes(1000);
        const post = { method: 'POST', body: content, headers: authorized, origin } as const;
        const answer = await node.request(`/upload?ext=png&group=${group}`, post);
        const [file] = uploadedOf(answer);
        const id = file?.id ?? '';
        t.equal(file?.url, `${publicUrl}/${id}`);
        t.equal(answer.headers.location, file?.url);
        t.ok((await ask(`/${id}`, {}, publicUrl)).body.equals(content), 'it is where its URL says');
        const ranged = await ask(`/${id}?download=a.png`, { range: 'bytes=10-19' }, origin);
        t.ok(ranged.status === 206 && ranged.body.equals(content.subarray(10, 20)));
        t.match(ranged.headers['content-disposition'], /a\.png/);
        t.match(JSON.parse((await ask(`/info/${id}`, {}, origin)).body.toString()), { id, group, size: 1000 });
        t.equal((await node.request(`/${id}`, { method: 'DELETE', headers: authorized, origin })).status, 204);
        await node.until(async () => (await ask(`/${id}`, {}, origin)).status === 404, 'gone');
      }
    });
  }

  // Seen to fail with the path of the receiving node in daemon/http/tus.ts (group2), and without a path (group1).
  t.test('a resumable upload continues at the address in Location', async (t) => {
    for (const group of ['group1', 'group2']) {
      for (const origin of [site, node.origin]) {
        const content = random.bytes(2000);
        const through = Object.create(node, { origin: { value: origin } }) as TestNode;
        const start = origin === site ? '/files/tus/' : '/tus/';
        const headers = node.authorized({ 'tus-resumable': '1.0.0', 'upload-length': '2000' });
        const answer = await node.request(`${start}?group=${group}`, { method: 'POST', headers, origin });
        const location = String(answer.headers.location);
        t.match(location, /^\/files\/tus\/[12]-[0-9a-f]{32}$/);
        t.equal((await send(through, location, 0, content.subarray(0, 700))).status, 204);
        t.same(await stateOf(through, location), { offset: 700, id: undefined });
        const { status, headers: last } = await send(through, location, 700, content.subarray(700));
        t.equal(status, 204);
        t.equal(last['fidfs-url'], `${publicUrl}/${last['fidfs-id']}`);
        t.ok((await ask(`/${last['fidfs-id']}`, {}, publicUrl)).body.equals(content));
      }
    }
    t.match(await begin(node, 5), /^\/files\/tus\//);
  });

  // Seen to fail without proxy_request_buffering in the documentation: no bytes of the cut request arrived.
  t.test('an unmodified tus client resumes after its connection is cut', async (t) => {
    const content = random.bytes(20 * 2 ** 20);
    const link = await Link.open(t, () => port);
    let cuts = 0;
    link.onSent = () => {
      if (cuts > 0 || link.sent < 12 * 2 ** 20) return;
      cuts++;
      link.set('cut');
      link.set('up');
    };
    const offsets: number[] = [];
    const id = await new Promise<string | undefined>((resolve, reject) => {
      const upload = new Upload(content, {
        endpoint: `${link.url}/files/tus/?group=group1`,
        headers: authorized,
        metadata: { filename: 'film.mp4' },
        retryDelays: Array<number>(20).fill(50),
        onAfterResponse(request, response) {
          if (request.getMethod() === 'HEAD') offsets.push(Number(response.getHeader('upload-offset')));
        },
        onError: reject,
        onSuccess: ({ lastResponse }) => resolve(lastResponse.getHeader('fidfs-id')),
      });
      upload.start();
    });
    t.ok((await ask(`/${id}`, {}, publicUrl)).body.equals(content), 'what is served is what was sent');
    t.ok(cuts === 1 && offsets.some((offset) => offset > 2 ** 20), 'it went on where it had stopped', { offsets });
  });

  // Seen to fail with `return 301 /console/`.
  t.test('redirects stay below the path', async (t) => {
    for (const [from, to] of Object.entries({ '/files': '/files/', '/files/console': '/files/console/' })) {
      for (const origin of [site, node.origin]) {
        const { status, headers } = await ask(from, {}, origin);
        t.equal(status, 301);
        t.equal(new URL(String(headers.location), origin + from).href, origin + to);
      }
    }
    for (const origin of [site, node.origin]) {
      const { headers } = await ask('/files/', { accept: 'text/html' }, origin);
      t.equal(new URL(String(headers.location), `${origin}/files/`).href, `${origin}/files/console/`);
    }
  });

  // Seen to fail (200, 500) without (?!…) and (?:…)+ in nginx/public-path.ts, and without the last location in the documentation.
  t.test('internal and restricted addresses are not reachable below the path', async (t) => {
    const inner = `/.fidfs/ask?origin=http://127.0.0.1:${port}`;
    const dated = '/.fidfs/dated/group1/M00/00/00/x.jpg';
    for (const path of ['/files/metrics', '/files//metrics', '/files/.fidfs/requests']) {
      t.equal((await ask(path)).status, 404, path);
    }
    for (const path of [inner, dated, '/.fidfs/requests', '/.fidfs/problem/400', '/%2e%66idfs/requests']) {
      const answer = await ask(`/files${path}`, {}, node.origin);
      t.equal(answer.status, 404, path);
      t.match(problemOf(answer).type, /not-found/);
    }
    t.equal((await ask(`${'/files'.repeat(30)}/healthz`, {}, node.origin)).status, 200, 'often repeated');
    t.equal((await ask('/files/files', {}, node.origin)).status, 301);
    t.equal((await ask('/filesystem/healthz', {}, node.origin)).status, 404);
  });

  // withConsole asserts that the page requests nothing above the path. Seen to fail with an absolute address in each of
  // vite.config.ts (base), http/request.ts, upload/send.ts and views/file/details.tsx.
  for (const origin of [publicUrl, node.origin]) {
    t.test(
      `the page works at ${origin === publicUrl ? 'the path' : 'the address of the node'}`,
      { skip: noBrowser },
      async (t) => {
        const directory = t.testdir();
        const [picture, film] = [join(directory, 'small.png'), join(directory, 'film.mp4')];
        writeFileSync(picture, PNG);
        const content = random.bytes(3_000_000);
        writeFileSync(film, content);
        await withConsole(t, origin, async (console) => {
          const { page } = console;
          await console.openWithKey(node.key);
          await console.choose(picture, film);
          const id = await console.id('small.png');
          const large = await console.id('film.mp4');
          t.ok((await ask(`/${large}`, {}, publicUrl)).body.equals(content), 'by /upload/known and tus');
          await page.reload();
          await page.waitForSelector('.row[data-phase=done] .thumbnail img');
          await console.open(`file/${id}`);
          await page.waitForSelector('img.preview');
          const width = `document.querySelector('img.preview').decode().then(() => document.querySelector('img.preview').naturalWidth)`;
          t.equal(await page.evaluate(width), 1, 'it is shown');
          const copied = `{ Object.defineProperty(navigator, 'clipboard', { value: { writeText: async (text) => { document.title = text; } } }) }`;
          await page.evaluate(copied);
          await page.getByRole('button', { name: 'Copy URL' }).click();
          await page.waitForFunction(`document.title.startsWith('http')`);
          t.equal(await page.title(), `${publicUrl}/${id}`, 'what is copied is the public address');
          const downloading = page.waitForEvent('download');
          await page.getByRole('link', { name: 'Download' }).click();
          t.ok(readFileSync(await (await downloading).path()).equals(PNG));
          await page.locator('.copies li[data-holds=record]').first().waitFor();
          await page.getByRole('button', { name: 'Delete' }).click();
          await page.getByRole('button', { name: 'Delete for good' }).click();
          await page.waitForSelector('[data-result=removed]');
          await console.open('cluster');
          await page.getByText('Node 2').first().waitFor();
        });
      },
    );
  }
});
