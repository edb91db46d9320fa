import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import t, { type Test } from 'tap';
import { noBrowser } from '../helpers/browser.js';
import { makeKey, usable } from '../helpers/keys.js';
import { TestNode } from '../helpers/node.js';
import { plainJpeg } from '../helpers/pictures.js';
import { freePort } from '../helpers/ports.js';

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));

/** Starts the example with the packages that it names, until the end of the test; resolves when it listens. */
async function serve(t: Test, env: Record<string, string>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-express-'));
  cpSync(join(PROJECT, 'examples/express'), directory, { recursive: true });
  mkdirSync(join(directory, 'node_modules'));
  symlinkSync(join(PROJECT, 'node_modules/express'), join(directory, 'node_modules/express'));
  symlinkSync(join(PROJECT, 'clients/js'), join(directory, 'node_modules/fidfs-client'));
  const options = { cwd: directory, env: { ...process.env, NODE_OPTIONS: '', ...env } };
  const child = spawn(process.execPath, ['app.mjs'], { ...options, stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(async () => {
    const ended = once(child, 'exit');
    child.kill();
    await ended;
    rmSync(directory, { recursive: true });
  });
  const started = once(child.stdout, 'data').then(() => true);
  if (!(await Promise.race([started, once(child, 'exit').then(() => false)]))) throw new Error('it did not start');
}

// Seen to fail without the token's types, without the check of the site, and without corsOrigins.
t.test('the example with Express', async (t) => {
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const presets = '{"thumb":{"width":32,"height":32}}';
  const node = await TestNode.start(t, { env: { FIDFS_PICTURES: presets, FIDFS_CORS_ORIGINS: origin } });
  const key = makeKey(node, 'express', ['upload', 'delete', 'list', 'sign']);
  await usable(node, key);
  await serve(t, { FIDFS_URL: node.origin, FIDFS_KEY: key, FIDFS_KEY_NAME: 'express', PORT: String(port) });
  const shown = async () =>
    [...(await (await fetch(origin)).text()).matchAll(/name="id" value="([^"]+)"/g)].map(([, id]) => id);
  const picture = new File([await plainJpeg(64, 64)], 'a.jpg', { type: 'image/jpeg' });
  const post = (path: string, body: FormData | URLSearchParams, headers = {}) =>
    fetch(origin + path, { method: 'POST', body, headers, redirect: 'manual' });
  const form = (...files: File[]) => {
    const data = new FormData();
    for (const file of files) data.append('pictures', file);
    return data;
  };

  t.equal((await post('/upload', form(picture, picture))).status, 303);
  const ids = await shown();
  t.equal(ids.length, 2);
  const markup = await (await fetch(origin)).text();
  const small = /<img src="([^"]+)"/.exec(markup)?.[1] ?? '';
  t.equal((await fetch(small)).status, 200, 'the small picture');
  t.equal((await post('/upload', form(new File(['<script>'], 'a.html')))).status, 415, 'what is no picture');
  t.equal((await post('/upload', form(new File(['<script>'], 'a.jpg')))).status, 415, 'what only has its name');
  const id = new URLSearchParams({ id: ids[0] ?? '' });
  t.equal((await post('/delete', id, { 'sec-fetch-site': 'cross-site' })).status, 403, 'from another site');
  t.equal((await shown()).length, 2);
  t.equal((await post('/delete', id)).status, 303);
  t.strictSame(await shown(), ids.slice(1));

  t.test('in a browser', { skip: noBrowser }, async (t) => {
    const executablePath = execFileSync('sh', ['-c', 'command -v chromium']).toString().trim();
    const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
    t.teardown(() => browser.close());
    const page = await browser.newPage();
    page.on('pageerror', (error) => t.fail(`in the page: ${error}`));
    await page.goto(origin);
    const buffer = Buffer.from(await picture.arrayBuffer());
    await page.setInputFiles('#direct', [{ name: 'b.jpg', mimeType: 'image/jpeg', buffer }]);
    await node.until(async () => (await shown()).length === 2, 'with the picture from the browser');
    await page.waitForFunction("document.querySelectorAll('li').length === 2");
    await page.setInputFiles('#direct', [{ name: 'c.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('text') }]);
    await page.waitForFunction("document.querySelector('#message').textContent !== ''");
    await page.setInputFiles('[name=pictures]', [{ name: 'd.jpg', mimeType: 'image/jpeg', buffer }]);
    await page.click('text=Send');
    await page.waitForFunction("document.querySelectorAll('li').length === 3");
    await page.click('text=Delete');
    await page.waitForFunction("document.querySelectorAll('li').length === 2");
  });
});
