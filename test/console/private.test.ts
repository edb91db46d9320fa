import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { noBrowser, withConsole } from '../helpers/browser.js';
import { makeKey, usable } from '../helpers/keys.js';
import { TestNode } from '../helpers/node.js';
import { plainJpeg } from '../helpers/pictures.js';

const skip = noBrowser;
const ENV = { FIDFS_DOWNLOADS: 'signed', FIDFS_DOWNLOAD_KEY: 'download-key-0123456789' };

// Seen to fail without the query of the link in presence.tsx.
t.test('the view of a private file works with a key that may make links', { skip }, async (t) => {
  const node = await TestNode.start(t, { env: ENV });
  const { id } = await node.upload(await plainJpeg(400, 300), '?ext=jpg');
  const { id: slave } = await node.upload(await plainJpeg(50, 50), `?ext=jpg&prefix=_small&master=${id}`);
  await node.upload(Buffer.from('of the same second'), '?ext=txt');
  const seeing = makeKey(node, 'seeing', ['list']);
  await usable(node, seeing);
  const file = join(t.testdir({ 'a.txt': 'a' }), 'a.txt');
  const use = async (console: Parameters<Parameters<typeof withConsole>[2]>[0]) => {
    const { page } = console;
    const clipboard = (): Promise<string> => page.evaluate('navigator.clipboard.readText()');
    await console.open(`file/${id}`);
    await page.getByText('This file is private').waitFor();
    await page.click('header .chip');
    await console.enterKey(seeing);
    await page.waitForSelector('dialog', { state: 'detached' });
    await page.getByText('This file is private').waitFor();
    await page.click('header .chip');
    await console.enterKey(node.key);
    await page.getByText('The file is there').waitFor();
    await page.waitForSelector('img.preview');
    const width = `{ const image = document.querySelector('img.preview'); image.decode().then(() => image.naturalWidth) }`;
    t.equal(await page.evaluate(width), 320, 'the small picture');
    t.equal(await page.getByText('This file is private').count(), 0);

    await page.getByLabel('Save as').fill('Grüße "1".jpg');
    const downloading = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Download' }).click();
    const download = await downloading;
    t.match(download.url(), /&download=Gr/, 'signed for the name');
    t.match(download.suggestedFilename(), /^Grüße .1.\.jpg$/);
    t.equal(
      await text(createReadStream(await download.path(), 'base64')),
      (await plainJpeg(400, 300)).toString('base64'),
    );
    await page.getByRole('button', { name: 'Copy URL, valid for 1 day' }).click();
    await page.getByRole('status').getByText('Copied').waitFor();
    const link = await clipboard();
    t.match(link, `${node.origin}/${id}?expires=`);
    t.equal((await node.get(link.slice(node.origin.length))).status, 200);

    const slaves = page.locator('.slaves a');
    await slaves.first().waitFor();
    t.strictSame(await slaves.evaluateAll((all) => all.map((one) => one.getAttribute('title'))), [slave]);
    await page.waitForSelector('.slaves img');
    await slaves.first().click();
    await page.getByText('Slave', { exact: true }).waitFor();
    await page.getByText('The file is there').waitFor();
    t.equal(await page.locator('.slaves').count(), 0, 'it has none itself');

    await console.open();
    await console.choose(file);
    await console.id('a.txt');
    await console.press('a.txt', 'Copy URL');
    await page.getByRole('status').getByText('Copied').waitFor();
    await page.waitForFunction(`navigator.clipboard.readText().then((text) => /txt[?]expires=/.test(text))`);
    const uploaded = await clipboard();
    t.equal((await node.get(uploaded.slice(node.origin.length))).body.toString(), 'a');
  };
  await withConsole(t, node.origin, use, { permissions: ['clipboard-read', 'clipboard-write'] });
});
