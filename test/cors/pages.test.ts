import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import t, { type Test } from 'tap';
import { noBrowser } from '../helpers/browser.js';
import { inSeconds, token } from '../helpers/keys.js';
import { TestNode } from '../helpers/node.js';
import { plainJpeg } from '../helpers/pictures.js';

const skip = noBrowser;
const FONTS = fileURLToPath(new URL('../../../node_modules/playwright-core/lib/vite/recorder/assets', import.meta.url));

/** A page of another origin than that of any node. */
interface OtherPage {
  origin: string;
  /** Evaluates the body of an async function with the arguments in `given`. Resolves with what it returns, or "failed: …". */
  run(body: string, given: Record<string, unknown>): Promise<unknown>;
}

/** Starts a web server with one empty page, and opens it in a browser. */
async function openPage(t: Test, headers: Record<string, string> = {}): Promise<OtherPage> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html', ...headers }).end('<!doctype html><title>page</title>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const executablePath = execFileSync('sh', ['-c', 'command -v chromium']).toString().trim();
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  t.teardown(async () => {
    await browser.close();
    server.close();
  });
  const page = await browser.newPage();
  await page.goto(origin);
  const run = (body: string, given: Record<string, unknown>) =>
    page.evaluate(
      `(async (given) => { ${body} })(${JSON.stringify(given)}).catch((error) => 'failed: ' + (error?.message ?? error))`,
    );
  return { origin, run };
}

const IMAGE = `const image = new Image();
  if (given.mode) image.crossOrigin = given.mode;
  image.src = given.url;
  await image.decode();`;
const DRAWN = `${IMAGE}
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  return [...context.getImageData(5, 5, 1, 1).data];`;
const FONT = `const font = await new FontFace('tested', 'url(' + given.url + ')').load();
  return font.status;`;
const PART = `const answer = await fetch(given.url, { headers: { range: 'bytes=2-5', 'if-none-match': '"x"' } });
  return [answer.status, answer.headers.get('content-range'), answer.headers.get('etag') !== null, await answer.text()];`;

/** Stores what pages load. */
async function store(node: TestNode) {
  const [font] = readdirSync(FONTS).filter((name) => name.endsWith('.ttf'));
  const upload = async (body: Buffer, extension: string) => (await node.upload(body, `?ext=${extension}`)).id;
  return {
    image: await upload(await plainJpeg(60, 60), 'jpg'),
    font: await upload(readFileSync(join(FONTS, font as string)), 'ttf'),
    module: await upload(Buffer.from('export const found = 42;'), 'mjs'),
    text: await upload(Buffer.from('0123456789'), 'txt'),
  };
}

// Seen to fail without the headers of downloads.
t.test('a page of another origin uses what is stored', { skip }, async (t) => {
  const node = await TestNode.start(t);
  const page = await openPage(t);
  const ids = await store(node);
  const of = (id: string) => ({ url: `${node.origin}/${id}` });
  t.strictSame(await page.run(DRAWN, { ...of(ids.image), mode: 'anonymous' }), [200, 100, 50, 255], 'canvas');
  const picture = await page.run(DRAWN, { ...of(`picture/console/${ids.image}`), mode: 'anonymous' });
  t.match(picture, [/19\d|20\d/, /\d+/, /\d+/, 255], 'canvas of a picture');
  t.equal(await page.run(FONT, of(ids.font)), 'loaded');
  t.equal(await page.run('return (await import(given.url)).found', of(ids.module)), 42);
  t.strictSame(await page.run(PART, of(ids.text)), [206, 'bytes 2-5/10', true, '2345']);
  const missing = `${ids.text.slice(0, -8)}AAAA.txt`;
  t.equal(await page.run('return (await fetch(given.url)).status', of(missing)), 404, 'errors are readable');
});

t.test('a page that requires the permission to embed shows images', { skip }, async (t) => {
  const isolated = { 'cross-origin-embedder-policy': 'require-corp', 'cross-origin-opener-policy': 'same-origin' };
  const page = await openPage(t, isolated);
  const node = await TestNode.start(t);
  const { image } = await store(node);
  t.equal(await page.run('return crossOriginIsolated', {}), true);
  const width = `${IMAGE} return image.naturalWidth`;
  t.equal(await page.run(width, { url: `${node.origin}/${image}` }), 60);
  t.equal(await page.run(width, { url: `${node.origin}/picture/console/${image}` }), 60);
  node.configure({ FIDFS_CORS_DOWNLOADS: 'none' });
  await node.stop();
  await node.start();
  t.match(await page.run(width, { url: `${node.origin}/${image}?again` }), /failed/, 'none without it');
});

t.test('an origin that is not in the list uses none of it', { skip }, async (t) => {
  const node = await TestNode.start(t, { env: { FIDFS_CORS_DOWNLOADS: 'https://app.example.com' } });
  const page = await openPage(t);
  const ids = await store(node);
  const of = (id: string) => ({ url: `${node.origin}/${id}` });
  t.match(await page.run(DRAWN, of(ids.image)), /failed.*tainted/, 'an image is shown, and not read');
  t.match(await page.run(DRAWN, { ...of(ids.image), mode: 'anonymous' }), /failed/);
  t.match(await page.run(FONT, of(ids.font)), /failed/);
  t.match(await page.run('return (await import(given.url)).found', of(ids.module)), /failed/);
  t.match(await page.run(PART, of(ids.text)), /failed/);
  node.configure({ FIDFS_CORS_DOWNLOADS: page.origin });
  await node.stop();
  await node.start();
  // Another address: the browser keeps files, and the answers to preflights.
  t.strictSame(
    await page.run(PART, of(`${ids.text}?again`)),
    [206, 'bytes 2-5/10', true, '2345'],
    'in the list it does',
  );
});

const UPLOAD = `const headers = { authorization: 'Bearer ' + given.token, 'content-type': 'text/plain' };
  const answer = await fetch(given.url + '/upload?ext=txt', { method: 'POST', headers, body: 'from a page' });
  const { files } = await answer.json();
  return [answer.status, files?.[0].id];`;
const PIECES = `const common = { authorization: 'Bearer ' + given.token, 'tus-resumable': '1.0.0' };
  const created = await fetch(given.url + '/tus/', { method: 'POST', headers: { ...common, 'upload-length': '10' } });
  const piece = (body, offset) => fetch(new URL(created.headers.get('location'), given.url + '/tus/'), {
    method: 'PATCH',
    headers: { ...common, 'upload-offset': offset, 'content-type': 'application/offset+octet-stream' },
    body,
  });
  const first = await piece('01234', '0');
  const second = await piece('56789', first.headers.get('upload-offset'));
  return [created.status, first.headers.get('upload-offset'), second.status, second.headers.get('fidfs-id')];`;

t.test('a page uploads with a token, whole and in pieces, if its origin is in corsOrigins', { skip }, async (t) => {
  const page = await openPage(t);
  const node = await TestNode.start(t, { env: { FIDFS_CORS_ORIGINS: page.origin } });
  const given = { url: node.origin, token: token(node.key, { exp: inSeconds(600) }) };
  const [status, id] = (await page.run(UPLOAD, given)) as [number, string];
  t.equal(status, 201);
  t.equal(String((await node.get(`/${id}`)).body), 'from a page');
  const [created, offset, ended, whole] = (await page.run(PIECES, given)) as [number, string, number, string];
  t.strictSame([created, offset, ended], [201, '5', 204]);
  t.equal(String((await node.get(`/${whole}`)).body), '0123456789');
  const wrong =
    'return (await fetch(given.url + "/upload", { method: "POST", headers: { authorization: "Bearer x" } })).status';
  t.equal(await page.run(wrong, given), 401, 'refusals are readable');
});

t.test('an origin that is not in corsOrigins does not upload', { skip }, async (t) => {
  const page = await openPage(t);
  const node = await TestNode.start(t, { env: { FIDFS_CORS_ORIGINS: 'https://app.example.com' } });
  const given = { url: node.origin, token: token(node.key, { exp: inSeconds(600) }) };
  t.match(await page.run(UPLOAD, given), /failed/);
  t.match(await page.run(PIECES, given), /failed/);
});
