import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Request, Route } from 'playwright-core';
import t from 'tap';
import { type ConsolePage, noBrowser, withConsole } from '../helpers/browser.js';
import { cannotMount, mountTmpfs, scratch } from '../helpers/mounts.js';
import { TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';

const skip = noBrowser;
const MIB = 2 ** 20;

function offsetOf(request: Request): number {
  return request.method() === 'PATCH' ? Number(request.headers()['upload-offset']) : -1;
}

/**
 * Holds the requests of an upload from an offset on. `held` resolves when the first one is held; `letGo` continues or aborts
 * them.
 */
async function holdFrom(
  console: ConsolePage,
  offset: number,
): Promise<{ held: Promise<void>; letGo: (goesOn?: boolean) => Promise<void> }> {
  const address = '**/tus/*';
  const waiting: Route[] = [];
  let tell = () => {};
  const held = new Promise<void>((resolve) => {
    tell = resolve;
  });
  await console.page.route(address, async (route) => {
    if (offsetOf(route.request()) < offset) return route.continue();
    waiting.push(route);
    tell();
  });
  const letGo = async (goesOn = false) => {
    await console.page.unroute(address);
    // The page may have aborted them in the meantime.
    for (const route of waiting) await (goesOn ? route.continue() : route.abort()).catch(() => {});
  };
  return { held, letGo };
}

t.test(
  'a wrong key is reported, the list waits for the right one, and the key is stored for the tab only',
  { skip },
  async (t) => {
    const node = await TestNode.start(t);
    const directory = t.testdir({ 'a.txt': 'a', 'b.txt': 'b' });
    await withConsole(t, node.origin, async (console) => {
      const { page } = console;
      await console.open();
      await console.choose(join(directory, 'a.txt'), join(directory, 'b.txt'));
      await console.row('a.txt', 'waiting');
      await console.enterKey('not-the-key-0123456789');
      await page.waitForSelector('#key-refused');
      await console.enterKey(node.key);
      t.ok(await console.id('a.txt'));
      t.ok(await console.id('b.txt'));
      t.notMatch(await page.evaluate('JSON.stringify(localStorage)'), node.key);
      t.match(await page.evaluate('JSON.stringify(sessionStorage)'), node.key);
      t.strictSame(await page.context().cookies(), []);
      await page.click('header .chip');
      await page.getByRole('button', { name: 'Forget the key' }).click();
      t.notMatch(await page.evaluate('JSON.stringify(sessionStorage)'), node.key);
      await page.getByRole('button', { name: 'Enter key' }).first().waitFor();
    });
  },
);

t.test('with open uploads the page asks for no key', { skip }, async (t) => {
  const node = await TestNode.start(t, { env: { FIDFS_UPLOADS: 'open' } });
  const directory = t.testdir({ 'a.txt': 'a' });
  await withConsole(t, node.origin, async (console) => {
    await console.open();
    await console.choose(join(directory, 'a.txt'));
    t.ok(await console.id('a.txt'));
  });
});

t.test('a file that is too large is refused, by the page and by the server', { skip }, async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t, { env: { FIDFS_MAX_FILE_SIZE: '500KiB' } });
  const directory = t.testdir();
  const files = [600 * 1024, 3 * MIB].map((size) => join(directory, `${size}.bin`));
  for (const file of files) writeFileSync(file, random.bytes(Number(/(\d+)\.bin/.exec(file)?.[1])));
  const small = join(directory, 'small.bin');
  writeFileSync(small, random.bytes(1000));
  const words = 'The file is larger than this server takes.';

  await withConsole(t, node.origin, async (console) => {
    const asked: string[] = [];
    await console.openWithKey(node.key);
    console.page.on('request', (request) => asked.push(request.url()));
    await console.choose(...files);
    for (const name of ['614400.bin', '3145728.bin']) {
      t.match(await (await console.row(name, 'failed')).innerText(), words);
    }
    t.strictSame(asked, [], 'nothing was sent');
    await console.choose(small);
    t.ok(await console.id('small.bin'), 'others are stored');
    await console.page.getByText('1 of 3 done').first().waitFor();
    await console.page.locator('.summary').getByText('2 failed').waitFor();
  });

  await withConsole(t, node.origin, async (console) => {
    await console.page.route('**/console/settings.json', (route) =>
      route.fulfill({ json: { uploads: 'key', maxFileSize: 1e12 } }),
    );
    await console.openWithKey(node.key);
    await console.choose(...files);
    const said = { '614400.bin': 'up to 512000 bytes', '3145728.bin': 'up to 512000 bytes' };
    for (const [name, detail] of Object.entries(said)) {
      const shown = await (await console.row(name, 'failed')).innerText();
      t.match(shown, words);
      t.match(shown, detail, "the server's own words");
    }
  });
});

t.test('a full disk is reported, and the upload can be retried', { skip: skip || cannotMount() }, async (t) => {
  const random = seeded(t);
  const point = mountTmpfs(t, join(scratch(t), 'disk'), 64);
  const env = { FIDFS_STORE_PATHS: join(point, 'store0'), FIDFS_RESERVE: '0' };
  const node = await TestNode.start(t, { env });
  const { bavail, bsize } = statfsSync(point);
  const others = join(point, 'somebody-elses-file');
  writeFileSync(others, Buffer.alloc(bavail * bsize - 6 * MIB));
  const file = join(t.testdir(), 'eager.bin');
  writeFileSync(file, random.bytes(20 * MIB));
  await withConsole(t, node.origin, async (console) => {
    await console.openWithKey(node.key);
    await console.choose(file);
    t.match(await (await console.row('eager.bin', 'failed')).innerText(), 'disks are full');
    rmSync(others);
    const another = random.bytes(20 * MIB);
    await node.until(async () => (await node.post(another)).status === 201, 'taking uploads again');
    await console.page.getByRole('button', { name: 'Retry failed' }).click();
    t.equal((await node.get(await console.id('eager.bin'))).body.length, 20 * MIB);
  });
});

t.test('an upload can be paused, resumed and cancelled', { skip }, async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t);
  const content = random.bytes(30 * MIB);
  const directory = t.testdir();
  for (const name of ['kept.bin', 'given-up.bin']) writeFileSync(join(directory, name), content);
  await withConsole(t, node.origin, async (console) => {
    await console.openWithKey(node.key);
    const first = await holdFrom(console, 16 * MIB);
    await console.choose(join(directory, 'kept.bin'));
    await first.held;
    await console.press('kept.bin', 'Pause');
    await console.row('kept.bin', 'paused');
    await first.letGo();
    const goesOn = console.page.waitForRequest((request) => request.method() === 'PATCH');
    await console.press('kept.bin', 'Resume');
    t.ok(offsetOf(await goesOn) >= 16 * MIB, 'what had arrived is not sent again');
    t.ok((await node.get(await console.id('kept.bin'))).body.equals(content));

    writeFileSync(join(directory, 'given-up.bin'), random.bytes(30 * MIB));
    const second = await holdFrom(console, 16 * MIB);
    await console.choose(join(directory, 'given-up.bin'));
    await second.held;
    const ended = console.page.waitForResponse((answer) => answer.request().method() === 'DELETE');
    await console.press('given-up.bin', 'Cancel');
    t.equal((await ended).status(), 204, 'the server forgets it');
    t.equal(await console.rows.count(), 1);
    await second.letGo();
    await console.page.reload();
    await console.row('kept.bin', 'done');
    t.equal(await console.rows.count(), 1);
  });
});

t.test('a failed upload shows the reason and can be retried', { skip }, async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t);
  const file = join(t.testdir(), 'a.bin');
  writeFileSync(file, random.bytes(2 * MIB));
  await withConsole(t, node.origin, async (console) => {
    await console.openWithKey(node.key);
    const problem = {
      type: 'urn:fidfs:problem:bad-request',
      title: 'Malformed',
      status: 400,
      detail: 'So <b>says</b> who.',
    };
    const answer = { status: 400, contentType: 'application/problem+json', body: JSON.stringify(problem) };
    await console.page.route('**/tus/', (route) => route.fulfill(answer), { times: 1 });
    await console.choose(file);
    t.match(await (await console.row('a.bin', 'failed')).innerText(), 'So <b>says</b> who.');
    await console.press('a.bin', 'Retry');
    t.ok(await console.id('a.bin'));
  });
});

t.test('an upload that has expired on the server starts again', { skip }, async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t);
  const content = random.bytes(20 * MIB);
  const file = join(t.testdir(), 'a.bin');
  writeFileSync(file, content);
  await withConsole(t, node.origin, async (console) => {
    await console.openWithKey(node.key);
    const { held, letGo } = await holdFrom(console, 16 * MIB);
    const begun = console.page.waitForRequest((request) => request.method() === 'PATCH');
    await console.choose(file);
    await held;
    const { pathname } = new URL((await begun).url());
    const headers = node.authorized({ 'tus-resumable': '1.0.0' });
    t.equal((await node.request(pathname, { method: 'DELETE', headers })).status, 204);
    await letGo(true);
    t.ok((await node.get(await console.id('a.bin'))).body.equals(content));
  });
});

t.test('after a reload an upload resumes when its file is selected again', { skip }, async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t);
  const content = random.bytes(30 * MIB);
  const directory = t.testdir({ 'small.txt': 'small' });
  const file = join(directory, 'large.bin');
  writeFileSync(file, content);
  await withConsole(t, node.origin, async (console) => {
    await console.openWithKey(node.key);
    const { held, letGo } = await holdFrom(console, 16 * MIB);
    await console.choose(join(directory, 'small.txt'), file);
    const small = await console.id('small.txt');
    await held;
    await console.page.reload();
    await letGo();
    await console.row('large.bin', 'interrupted');
    t.equal(await console.id('small.txt'), small, 'what is done is still there');
    const goesOn = console.page.waitForRequest((request) => request.method() === 'PATCH');
    await console.choose(file);
    t.ok(offsetOf(await goesOn) >= 16 * MIB, 'what had arrived is not sent again');
    const id = await console.id('large.bin');
    t.equal(await console.rows.count(), 2, 'in its old row');
    t.ok((await node.get(id)).body.equals(content));
    await console.page.reload();
    t.equal(await console.id('large.bin'), id);
    await console.page.getByRole('button', { name: 'Clear finished' }).click();
    t.equal(await console.rows.count(), 0);
    await console.page.reload();
    await console.page.getByText('Nothing here yet').waitFor();
  });
});
