import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { noBrowser } from '../helpers/browser.js';
import { makeKey, usable } from '../helpers/keys.js';
import { Link } from '../helpers/link.js';
import { TestNode } from '../helpers/node.js';
import { freePort } from '../helpers/ports.js';
import { seeded } from '../helpers/random.js';

const EXAMPLE = fileURLToPath(new URL('../../../examples/uppy/server.mjs', import.meta.url));

/** Starts the application of the example until the end of the test; resolves when it serves its page. */
async function serve(t: Test, env: Record<string, string>): Promise<void> {
  const child = spawn(process.execPath, [EXAMPLE], {
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(async () => {
    const ended = once(child, 'exit');
    child.kill();
    await ended;
  });
  const started = once(child.stdout, 'data').then(() => true);
  if (!(await Promise.race([started, once(child, 'exit').then(() => false)]))) throw new Error('it did not start');
}

/** Opens the page, with nothing kept from another one. */
async function open(t: Test, browser: Browser, origin: string): Promise<Page> {
  const context = await browser.newContext();
  t.teardown(() => context.close());
  const page = await context.newPage();
  page.on('pageerror', (error) => t.fail(`in the page: ${error}`));
  // On a machine whose only network is loopback the browser is offline, and Uppy waits until it is not.
  await page.addInitScript("Object.defineProperty(navigator, 'onLine', { get: () => true })");
  await page.goto(origin);
  return page;
}

/** Chooses files in Uppy, and uploads them. */
async function upload(page: Page, ...files: string[]): Promise<void> {
  await page.setInputFiles('.uppy-Dashboard-input >> nth=0', files);
  await page.click('.uppy-StatusBar-actionBtn--upload');
}

/** Resolves with the ID of a file once the page lists it. */
async function stored(page: Page, name: string): Promise<string> {
  const link = page.locator('#stored a', { hasText: name });
  await link.waitFor({ timeout: 60_000 });
  return (await link.getAttribute('id')) ?? '';
}

// Seen to fail without Fidfs-Id among the exposed headers.
t.test('Uppy on a page of another origin', { skip: noBrowser }, async (t) => {
  const random = seeded(t);
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const node = await TestNode.start(t, { env: { FIDFS_CORS_ORIGINS: origin } });
  const link = await Link.open(t, () => node.port);
  const key = makeKey(node, 'uppy', ['sign']);
  await usable(node, key);
  const signing = { FIDFS_URL: link.url, FIDFS_SIGN_KEY: key, FIDFS_SIGN_NAME: 'uppy' };
  const executablePath = execFileSync('sh', ['-c', 'command -v chromium']).toString().trim();
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  t.teardown(() => browser.close());
  const directory = t.testdir();
  const contents = new Map<string, Buffer>();
  const file = (name: string, size: number) => {
    contents.set(name, random.bytes(size));
    writeFileSync(join(directory, name), contents.get(name) as Buffer);
    return join(directory, name);
  };
  const assertStored = async (t: Test, page: Page, name: string, ending: string) => {
    const id = await stored(page, name);
    t.ok(id.endsWith(ending), `${name}: ${id}`);
    t.equal(await page.locator('#stored a', { hasText: name }).getAttribute('href'), `${link.url}/${id}`);
    t.ok((await node.get(id)).body.equals(contents.get(name) as Buffer), name);
  };

  await t.test('stores files, small ones and of several pieces', async (t) => {
    // Shorter than the page's margin: each request has a token of its own.
    await serve(t, { ...signing, PORT: String(port), TOKEN_SECONDS: '30' });
    const page = await open(t, browser, origin);
    await upload(page, file('Größe "1".jpg', 1000), file('empty.txt', 0), file('film.mp4', 20_000_000));
    await assertStored(t, page, 'Größe "1".jpg', '.jpg');
    await assertStored(t, page, 'empty.txt', '.txt');
    await assertStored(t, page, 'film.mp4', '.mp4');
  });

  await t.test('goes on with a file after a lost connection, and after the page was opened again', async (t) => {
    await serve(t, { ...signing, PORT: String(port) });
    const page = await open(t, browser, origin);
    const offsets: number[] = [];
    page.on('request', (request) => {
      if (request.method() === 'PATCH') offsets.push(Number(request.headers()['upload-offset']));
    });
    link.sent = 0;
    const at = (bytes: number) =>
      new Promise<void>((resolve) => {
        link.onSent = () => {
          if (link.sent < bytes) return;
          link.onSent = () => {};
          resolve();
        };
      });
    const first = at(10_000_000);
    await upload(page, file('long.bin', 30_000_000));
    await first;
    const second = at(20_000_000);
    link.set('cut');
    link.set('up');
    await second;
    link.set('cut');
    await page.reload();
    link.set('up');
    await upload(page, join(directory, 'long.bin'));
    await assertStored(t, page, 'long.bin', '.bin');
    t.strictSame(offsets.slice(0, 1), [0], 'it was created once');
    t.ok(
      offsets.slice(1).every((offset) => offset > 0),
      'and did not begin again',
      { offsets },
    );
  });

  await t.test('shows why a file is refused', async (t) => {
    const [small, pdf] = [file('small.jpg', 1000), file('other.pdf', 1001)];
    const cases: [what: string, env: Record<string, string>, path: string, reason: RegExp][] = [
      ['a token that has expired', { TOKEN_SECONDS: '-120' }, small, /expired/],
      ['a token of another key', { FIDFS_SIGN_KEY: 'another' }, small, /not signed with a key "uppy"/],
      ['a token for smaller files', { MAX_SIZE: '999' }, small, /999/],
      ['a token for other types', { TYPES: 'image/*,txt' }, pdf, /pdf/],
      ['no picture, whatever its name', { TYPES: 'image/*' }, small, /jpg/],
    ];
    for (const [what, env, path, reason] of cases) {
      await t.test(what, async (t) => {
        await serve(t, { ...signing, ...env, PORT: String(port) });
        const page = await open(t, browser, origin);
        await upload(page, path);
        await page.locator('.uppy-Informer', { hasText: reason }).last().waitFor();
        t.equal(await page.locator('#stored a').count(), 0);
      });
    }
  });
  t.match((await node.command('status', '--json')).stdout, /"files": 4,/);
});
