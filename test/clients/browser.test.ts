import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import t from 'tap';
import { TestNode } from '../helpers/node.js';
import { missing, run } from '../helpers/programs.js';
import { seeded } from '../helpers/random.js';

const page = readFileSync(new URL('../../../docs/clients.md', import.meta.url), 'utf8');
const form = /```html\n([^`]*)```/.exec(page)?.[1] ?? '';

t.test("a browser's form stores the files that were chosen", { skip: missing('chromium') }, async (t) => {
  const random = seeded(t);
  const node = await TestNode.start(t, { env: { FIDFS_UPLOADS: 'open' } });
  const html = `<!doctype html><meta charset="utf-8">${form.replace('http://127.0.0.1:8080', node.origin)}`;
  const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end(html));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const directory = t.testdir();
  const contents = [random.bytes(2_000_000), random.bytes(1000), Buffer.alloc(0)];
  const files = ['Grüße "1".jpg', 'b.tar.gz', 'none'].map((name) => join(directory, name));
  for (const [number, file] of files.entries()) writeFileSync(file, contents[number] as Buffer);

  const executablePath = (await run('sh', ['-c', 'command -v chromium'])).stdout.trim();
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  t.teardown(() => browser.close());
  const tab = await browser.newPage();
  const submit = async (chosen: string[]) => {
    await tab.goto(`http://127.0.0.1:${(server.address() as { port: number }).port}/`);
    await tab.setInputFiles('input', chosen);
    const [answer] = await Promise.all([tab.waitForResponse(`${node.origin}/upload`), tab.click('button')]);
    return answer;
  };

  const answer = await submit(files);
  t.equal(answer.status(), 201);
  const stored: { id: string }[] = JSON.parse((await tab.textContent('body')) ?? '').files;
  // Seen to fail with the order of parts reversed.
  t.match(
    stored.map(({ id }) => id),
    [/\.jpg$/, /\.tar\.gz$/, /^group1\/M00\/[^.]*$/],
  );
  const got = await Promise.all(stored.map(async ({ id }) => (await node.get(id)).body));
  t.strictSame(
    got.map((body, number) => body.equals(contents[number] as Buffer)),
    [true, true, true],
  );

  const empty = await submit([]);
  t.equal(empty.status(), 400, 'nothing chosen');
  t.match((await node.command('status', '--json')).stdout, /"files": 3,/);
});
