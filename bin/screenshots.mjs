// Makes screenshots of every view of the web page, in both themes, in the sizes of a phone and a desktop, with three nodes:
// npm run screenshots [-- --directory var/screenshots]. Needs Chromium.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { crc32, deflateSync } from 'node:zlib';
import { orExit, prepare, root } from './prepare.mjs';

const PORT = 18480;
const ORIGIN = `http://127.0.0.1:${PORT}`;
const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
const MIB = 2 ** 20;
/** Offset at which an upload is held for the screenshot. */
const HELD_BYTES = 40 * MIB;

/** Creates a PNG with a colour gradient. */
function picture(width, height, hue) {
  const rows = Buffer.alloc((width * 3 + 1) * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const wave = Math.sin(x / 90 + hue) * 24 + y / 3;
      const at = y * (width * 3 + 1) + 1 + x * 3;
      for (let part = 0; part < 3; part++) rows[at + part] = 128 + 110 * Math.sin(wave / 45 + hue + part * 0.9);
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2], 8);
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  return Buffer.concat([
    signature,
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type, data) {
  const made = Buffer.alloc(12 + data.length);
  made.writeUInt32BE(data.length, 0);
  made.write(type, 4, 'latin1');
  data.copy(made, 8);
  made.writeUInt32BE(crc32(made.subarray(4, 8 + data.length)), 8 + data.length);
  return made;
}

/** Starts three nodes; resolves with their key and a function that stops them. */
async function startNodes(directory) {
  const words = [join(root, 'bin/cluster.mjs'), '--port', String(PORT), '--directory', directory];
  const cluster = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(cluster, 'exit');
  const stop = async () => {
    cluster.kill('SIGTERM');
    await ended;
  };
  const [first] = await Promise.race([once(cluster.stdout, 'data'), ended]);
  if (!String(first).startsWith('Three nodes')) throw new Error('the nodes do not start');
  cluster.stdout.resume();
  return { key: readFileSync(join(directory, 'key'), 'utf8').trim(), stop };
}

/** Uploads files continuously, some of them twice. Returns a function that stops it. */
function traffic(key) {
  let isOver = false;
  const shared = randomBytes(2 * MIB);
  const run = async () => {
    while (!isOver) {
      for (const body of [randomBytes(700_000), shared]) {
        const headers = { authorization: `Bearer ${key}` };
        const answer = await fetch(`${ORIGIN}/upload?ext=bin`, { method: 'POST', headers, body });
        const { files } = await answer.json();
        await (await fetch(`${ORIGIN}/${files[0].id}`)).arrayBuffer();
      }
    }
  };
  const running = run();
  return () => {
    isOver = true;
    return running;
  };
}

/** Fills the view of uploads with a row per state: stored, duplicate, in progress, failed. Resolves with the ID of a picture. */
async function fillUploads(page, files) {
  await page.goto(`${ORIGIN}/console/#/`);
  await page.route('**/tus/*', async (route) => {
    const isHeld = Number(route.request().headers()['upload-offset']) >= HELD_BYTES;
    if (!isHeld) await route.continue();
    // Later requests stay unanswered, so that the upload is in progress in the screenshot.
  });
  await page.setInputFiles('.choose-files', files.video);
  await page.waitForFunction((bytes) => document.querySelector('progress.send')?.value >= bytes, HELD_BYTES);
  const stored = (count) =>
    page
      .locator('[data-phase=done]')
      .nth(count - 1)
      .waitFor();
  await page.setInputFiles('.choose-files', [files.picture, files.archive]);
  await stored(2);
  await page.setInputFiles('.choose-files', files.archive);
  await stored(3);
  const problem = { type: 'urn:fidfs:problem:full', status: 507, detail: 'There is no room for this file.' };
  const answer = { status: 507, contentType: 'application/problem+json', body: JSON.stringify(problem) };
  await page.route('**/tus/', (route) => route.fulfill(answer), { times: 1 });
  await page.setInputFiles('.choose-files', files.large);
  await page.waitForSelector('.summary .bad');
  return page.textContent('.row code');
}

/** Creates the files to upload. */
function makeFiles(directory) {
  const write = (name, content) => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  return {
    picture: write('evening-light.png', picture(1200, 800, 1)),
    archive: write('accounts-2026.tar.gz', randomBytes(12 * MIB)),
    large: write('server-image.iso', randomBytes(3 * MIB)),
    video: write('interview, second take.mp4', randomBytes(64 * MIB)),
  };
}

async function takeAll(browser, key, scratch, directory) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ['light', 'dark']) {
      const context = await browser.newContext({ viewport, colorScheme, locale: size === 'phone' ? 'zh-CN' : 'en-GB' });
      const page = await context.newPage();
      const take = (name, isDialog = false) =>
        page.screenshot({
          path: join(directory, `${name}-${colorScheme}-${size}.png`),
          fullPage: size === 'phone' && !isDialog,
        });
      await page.goto(`${ORIGIN}/console/`);
      await page.waitForSelector('.empty');
      await take('empty');
      await page.click('header .chip');
      await take('key', true);
      await page.fill('dialog input', key);
      await page.keyboard.press('Enter');
      const id = await fillUploads(page, makeFiles(scratch));
      await take('upload');
      await page.goto(`${ORIGIN}/console/#/file/${id}`);
      await page.waitForSelector('.copies');
      await page.waitForFunction(() => document.querySelector('.preview')?.complete);
      await take('file');
      await page.click('.danger');
      await take('delete', true);
      await page.goto(`${ORIGIN}/console/#/cluster`);
      await page.waitForFunction(() => /[1-9]/.test([...document.querySelectorAll('.sum-value')].at(-1)?.textContent));
      await take('cluster');
      await context.close();
    }
  }
}

async function main() {
  const { values } = parseArgs({ options: { directory: { type: 'string', default: join(root, 'var/screenshots') } } });
  const directory = resolve(values.directory);
  mkdirSync(directory, { recursive: true });
  await prepare();
  const { chromium } = await import('playwright-core');
  const scratch = mkdtempSync(join(tmpdir(), 'fidfs-screenshots-'));
  const { key, stop } = await startNodes(join(scratch, 'cluster'));
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  const endTraffic = traffic(key);
  try {
    await takeAll(browser, key, scratch, directory);
    process.stdout.write(`the pictures are in ${directory}\n`);
  } finally {
    await browser.close();
    await endTraffic();
    await stop();
    rmSync(scratch, { recursive: true, force: true });
  }
}

await orExit(main);
