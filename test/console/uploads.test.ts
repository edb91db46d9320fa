import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Request } from 'playwright-core';
import t from 'tap';
import { noBrowser, withConsole } from '../helpers/browser.js';
import { Link } from '../helpers/link.js';
import { TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';

const skip = noBrowser;
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);
/** As text, because it runs in the browser, whose types are not available here. */
const PASTE = `{
  const clipboardData = new DataTransfer();
  const bytes = Uint8Array.from(atob('${PNG.toString('base64')}'), (one) => one.charCodeAt(0));
  clipboardData.items.add(new File([bytes], 'image.png', { type: 'image/png' }));
  document.dispatchEvent(new ClipboardEvent('paste', { clipboardData }));
}`;

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function isBody(request: Request): boolean {
  return request.method() === 'PATCH' || /\/(?:tus\/?$|upload\?)/.test(request.url());
}

t.test('a large file whose connection is cut arrives complete', { skip }, async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t);
  const link = await Link.open(t, () => node.port);
  const content = random.bytes(200_000_000);
  const file = join(t.testdir(), 'large.bin');
  writeFileSync(file, content);
  await withConsole(t, link.url, async (console) => {
    await console.openWithKey(node.key);
    let cuts = 0;
    console.page.on('request', (request) => {
      if (Number(request.headers()['upload-offset'] ?? 0) < 80_000_000 || cuts > 0) return;
      cuts++;
      link.set('cut');
    });
    await console.choose(file);
    await console.page.waitForSelector('.row progress.hash');
    await console.page.waitForSelector('.row progress.send');
    await console.row('large.bin', 'waiting');
    link.set('up');
    const stored = await node.get(await console.id('large.bin'));
    t.equal(cuts, 1, 'it was cut');
    t.equal(sha256(stored.body), sha256(content), 'the bytes are the same');
  });
});

t.test('a file that the server has is not sent', { skip }, async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t);
  const content = random.bytes(3_000_000);
  const { id: first } = await node.upload(content);
  const file = join(t.testdir(), 'again.tar.gz');
  writeFileSync(file, content);
  await withConsole(t, node.origin, async (console) => {
    const bodies: string[] = [];
    console.page.on('request', (request) => {
      if (isBody(request)) bodies.push(`${request.method()} ${request.url()}`);
    });
    await console.openWithKey(node.key);
    await console.choose(file);
    const id = await console.id('again.tar.gz');
    t.match(await (await console.row('again.tar.gz')).innerText(), 'Already there, nothing was sent');
    t.strictSame(bodies, [], 'no request carried it');
    t.match(id, /\.tar\.gz$/);
    t.not(id, first, 'it has an ID of its own');
    t.ok((await node.get(id)).body.equals(content));
  });
});

t.test('a folder keeps its paths, and a thousand small files are all stored', { skip }, async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t);
  const folder = join(t.testdir(), 'many');
  mkdirSync(join(folder, 'inner'), { recursive: true });
  for (let number = 0; number < 1000; number++) {
    const directory = number % 2 === 0 ? folder : join(folder, 'inner');
    writeFileSync(join(directory, `${number}.txt`), random.bytes(1 + random.below(2000)));
  }
  await withConsole(t, node.origin, async (console) => {
    await console.openWithKey(node.key);
    await console.chooseFolder(folder);
    await console.page.getByText('1,000 of 1,000 done').first().waitFor({ timeout: 120_000 });
    t.match(await (await console.row('1.txt')).textContent(), 'many/inner');
    t.match((await node.command('status', '--json')).stdout, /"files": 1000,/);
  });
});

t.test('a dropped folder is read recursively', { skip }, async (t) => {
  const node = await TestNode.start(t);
  const folder = t.testdir({ top: { 'a.txt': 'a', deep: { deeper: { 'b.txt': 'b' } } } });
  await withConsole(t, node.origin, async (console) => {
    await console.openWithKey(node.key);
    const devtools = await console.page.context().newCDPSession(console.page);
    const data = { items: [], files: [join(folder, 'top')], dragOperationsMask: 1 };
    for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
      await devtools.send('Input.dispatchDragEvent', { type, x: 300, y: 300, data });
    }
    t.equal((await node.get(await console.id('b.txt'))).body.toString(), 'b');
    t.match(await (await console.row('b.txt')).innerText(), 'top/deep/deeper');
    t.equal((await node.get(await console.id('a.txt'))).body.toString(), 'a');
  });
});

t.test('a picture that is pasted is stored and shown', { skip }, async (t) => {
  const node = await TestNode.start(t);
  await withConsole(t, node.origin, async (console) => {
    await console.openWithKey(node.key);
    await console.page.evaluate(PASTE);
    await console.page.waitForSelector('.row[data-phase=done] .thumbnail img[src^="blob:"]');
    const id = (await console.page.textContent('.row code')) ?? '';
    t.match(id, /\.png$/);
    t.ok((await node.get(id)).body.equals(PNG));
  });
});

t.test('file names are shown as text, not as HTML', { skip }, async (t) => {
  const node = await TestNode.start(t);
  const names = [
    '<img src=x onerror=alert(1)>.png',
    '"\'><script>alert(2)<',
    '{{alert(3)}}.jpg',
    '..%2f..%2fetc',
    '\u202egnp.exe',
  ];
  const directory = t.testdir();
  const files = names.map((name) => join(directory, name));
  for (const file of files) writeFileSync(file, 'not a picture');
  await withConsole(t, node.origin, async (console) => {
    const dialogs: string[] = [];
    console.page.on('dialog', (dialog) => {
      dialogs.push(dialog.message());
      void dialog.dismiss();
    });
    await console.openWithKey(node.key);
    await console.choose(...files);
    for (const name of names) t.ok(await console.id(name), name);
    t.strictSame(await console.page.locator('.row strong').allTextContents(), names);
    t.equal(await console.page.locator('img[src="x"]').count(), 0);
    await console.page.reload();
    await console.row(names[0] as string, 'done');
    t.strictSame(await console.page.locator('.row strong').allTextContents(), names);
    t.strictSame(dialogs, []);
  });
});
