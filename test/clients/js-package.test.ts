import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { CLIENT, failed, loadClient, refusing } from '../helpers/js-client.js';
import { run } from '../helpers/programs.js';

/*
 * What needs no node: the client against servers of the test, and its package.
 */

const { Fidfs } = await loadClient();

t.test('begins a lost upload again, and no other one', async (t) => {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    paths.push(`${request.method} ${request.url}`);
    request.resume();
    request.on('end', () => {
      if (request.method === 'POST') response.writeHead(201, { Location: `/tus/${paths.length}` }).end();
      else if (request.url === '/tus/1') response.writeHead(404).end();
      else
        response
          .writeHead(204, { 'Upload-Offset': '1', 'Fidfs-Id': 'group1/M00/00/00/AQAAAGsDXVyAU7RdAAAACw1KEYU3353642' })
          .end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const servers = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const stored = await new Fidfs({ servers }).upload('x', { resumable: true });
  t.match(stored, { size: 1, crc32: '0d4a1185', created: '2026-11-22T21:23:40Z' });
  t.strictSame(paths, ['POST /tus/', 'PATCH /tus/1', 'POST /tus/', 'PATCH /tus/3']);
  const wrong = await refusing(t, 403, '0');
  t.equal(await failed(new Fidfs({ servers: wrong.url }).upload('x', { resume: '/tus/1' })), '403 unknown');
  t.strictSame(wrong.paths, ['HEAD /tus/1']);
});

t.test('the package holds what is built, and no more', async (t) => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--silent'], {}, CLIENT);
  const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  const paths = files.map(({ path }) => path);
  t.ok(paths.includes('dist/index.js') && paths.includes('dist/index.d.ts'));
  const others = paths.filter((path) => !/^dist\/[\w-]+(?:\.d\.ts|\.js)$/.test(path));
  t.strictSame(others.sort(), ['LICENSE', 'README.md', 'package.json']);
  const version = (path: string) => JSON.parse(readFileSync(path, 'utf8')).version;
  t.equal(
    version(join(CLIENT, 'package.json')),
    version(join(CLIENT, '../../package.json')),
    'the version of the server',
  );
});
