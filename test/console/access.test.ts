import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { noBrowser, withConsole } from '../helpers/browser.js';
import { TestNode } from '../helpers/node.js';

const skip = noBrowser;
const BUILT = fileURLToPath(new URL('../../console', import.meta.url));
const MOST_GZIP_BYTES = 150_000;

/** Asserts that there is no serious or critical accessibility violation. */
async function assertAccessible(t: Test, page: Page, what: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const grave = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => ({ id, where: nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`) }));
  t.strictSame(grave, [], what);
}

/** A script that returns all texts and labels of the page. */
const TEXTS = `[...document.querySelectorAll('body *')].flatMap((element) => [
  ...[...element.childNodes].filter((node) => node.nodeType === 3 && !element.closest('noscript')).map((node) => node.data),
  ...['aria-label', 'title', 'alt', 'placeholder'].map((name) => element.getAttribute(name) ?? ''),
])`;
/** Texts that are the same in every language. */
const UNTRANSLATED = /^(?:fidfs|English|CRC-32|group1|[\da-f]{8}|small|bad|txt|bin|jpg|Markdown|HTML|bytes?|[kMGT]?B)$/;

async function englishIn(page: Page): Promise<string[]> {
  const texts: string[] = await page.evaluate(TEXTS);
  const words = texts
    .filter((text) => !/group1\/M00|^…|\p{Script=Han}/u.test(text))
    .flatMap((text) => text.split(/[\s.:,/]+/));
  return words.filter((word) => /[A-Za-z]{3}/.test(word) && !UNTRANSLATED.test(word));
}

t.test('the page is small', (t) => {
  const files = ['index.html', ...readdirSync(join(BUILT, 'assets')).map((name) => join('assets', name))];
  const bytes = files.reduce((sum, file) => sum + gzipSync(readFileSync(join(BUILT, file))).length, 0);
  t.comment(`${bytes} bytes, compressed`);
  t.ok(bytes < MOST_GZIP_BYTES);
  t.notMatch(readFileSync(join(BUILT, 'index.html'), 'utf8'), /<style|style=|<script(?![^>]*src=)|https?:/);
  t.end();
});

// Contrast depends on the theme and names on the language, so that each needs to be seen once.
for (const [theme, locale] of [
  ['light', 'en-US'],
  ['dark', 'zh-CN'],
] as const) {
  t.test(`everybody can use every view: ${theme}, ${locale}`, { skip }, async (t) => {
    const node = await TestNode.start(t, { env: { FIDFS_MAX_FILE_SIZE: '1MiB' } });
    const directory = t.testdir({ 'small.txt': 'small', 'bad.bin': Buffer.alloc(1_100_000) });
    const options = { locale, colorScheme: theme, permissions: ['clipboard-read', 'clipboard-write'] };
    const use = async (console: Parameters<Parameters<typeof withConsole>[2]>[0]) => {
      const { page } = console;
      const view = async (address: string, wait: string, what: string) => {
        await page.goto(`${node.origin}/console/#/${address}`);
        await page.waitForSelector(wait);
        await assertAccessible(t, page, what);
        if (locale === 'zh-CN') t.strictSame(await englishIn(page), [], `${what}: all in Chinese`);
      };
      await view('', '.empty', 'nothing uploaded');
      await view('cluster', '.empty', 'no key for the cluster');
      await view('files', '.empty', 'no key for the files');
      await page.click('header .chip');
      await page.fill('dialog input', 'not-the-key-0123456789');
      await assertAccessible(t, page, 'the question for the key');
      await page.keyboard.press('Enter');
      await page.waitForSelector('#key-refused');
      await view('cluster', '#key-refused', 'a wrong key');
      await console.enterKey(node.key);
      await view('cluster', '.node', 'the cluster');
      await view('cluster', '.chart', 'the charts of the cluster');
      await page.goto(`${node.origin}/console/#/`);
      await console.choose(join(directory, 'small.txt'), join(directory, 'bad.bin'));
      const id = await console.id('small.txt');
      await console.row('bad.bin', 'failed');
      await view('', '.row[data-phase=failed]', 'uploads');
      await view('file', '.empty', 'no file');
      await view('files', '.tile', 'all files');
      await page.click('.tile');
      await view('files', '.tile[aria-selected=true]', 'a chosen file');
      await page.click('.files-bar .danger');
      await view('files', 'dialog', 'the question before a deletion of several');
      await page.keyboard.press('Escape');
      await view(`file/${id}`, '.copies', 'a file');
      await page.click('.danger');
      await view(`file/${id}`, 'dialog', 'the question before a deletion');
      t.equal(await page.getAttribute('html', 'lang'), locale === 'zh-CN' ? 'zh-CN' : 'en');
      t.equal(await page.getAttribute('html', 'data-theme'), theme);
    };
    await withConsole(t, node.origin, use, options);
  });
}

t.test('language and theme are stored', { skip }, async (t) => {
  const node = await TestNode.start(t);
  await withConsole(t, node.origin, async (console) => {
    const { page } = console;
    await console.open();
    await page.getByLabel('Language').selectOption('zh-CN');
    await page.getByRole('heading', { name: '上传' }).first().waitFor();
    await page.getByLabel('主题').selectOption('dark');
    await page.reload();
    await page.getByRole('heading', { name: '上传' }).first().waitFor();
    t.equal(await page.getAttribute('html', 'data-theme'), 'dark');
    t.match(await page.title(), '上传');
    await page.getByLabel('主题').selectOption('system');
    t.equal(await page.getAttribute('html', 'data-theme'), 'light');
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.waitForSelector('html[data-theme=dark]');
  });
});

/** Presses Tab until the element with this text or label has the focus. */
async function tabTo(page: Page, name: string): Promise<void> {
  const focused = `(document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '').trim()`;
  for (let presses = 0; presses < 60; presses++) {
    await page.keyboard.press('Tab');
    if ((await page.evaluate(focused)) === name) return;
  }
  throw new Error(`Tab does not lead to ${name}`);
}

t.test('all functions are accessible by keyboard', { skip }, async (t) => {
  const node = await TestNode.start(t);
  const file = join(t.testdir({ 'a.txt': 'a' }), 'a.txt');
  const use = async (console: Parameters<Parameters<typeof withConsole>[2]>[0]) => {
    const { page } = console;
    await console.open();
    await tabTo(page, 'Enter key');
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog');
    await page.keyboard.type(node.key);
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog', { state: 'detached' });
    t.equal(await page.evaluate('document.activeElement.className'), 'chip', 'the focus is back where it was');

    const choosing = page.waitForEvent('filechooser');
    await tabTo(page, 'Choose files');
    await page.keyboard.press('Enter');
    await (await choosing).setFiles(file);
    const id = await console.id('a.txt');
    await tabTo(page, 'Copy ID: a.txt');
    await page.keyboard.press('Enter');
    await page.getByRole('status').getByText('Copied').waitFor();
    t.equal(await page.evaluate('navigator.clipboard.readText()'), id);
    await tabTo(page, 'Details: a.txt');
    await page.keyboard.press('Enter');
    await page.getByText('The file is there').waitFor();
    await page.keyboard.press('Tab');
    await tabTo(page, 'Cluster');
    await page.keyboard.press('Enter');
    await page.waitForSelector('[data-node="1"]');
    t.match(page.url(), '#/cluster');
  };
  await withConsole(t, node.origin, use, { permissions: ['clipboard-read', 'clipboard-write'] });
});

t.test('copying to the clipboard works on a page without TLS, too', { skip }, async (t) => {
  const node = await TestNode.start(t);
  const file = join(t.testdir({ 'a.txt': 'a' }), 'a.txt');
  const use = async (console: Parameters<Parameters<typeof withConsole>[2]>[0]) => {
    await console.page.addInitScript('Object.defineProperty(navigator.clipboard, "writeText", { value: undefined })');
    await console.openWithKey(node.key);
    await console.choose(file);
    const id = await console.id('a.txt');
    await console.press('a.txt', 'Copy ID');
    await console.page.getByRole('status').getByText('Copied').waitFor();
    t.equal(await console.page.evaluate('navigator.clipboard.readText()'), id);
  };
  await withConsole(t, node.origin, use, { permissions: ['clipboard-read', 'clipboard-write'] });
});
