import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { findNginx } from '../../nginx/programs.js';
import { listen } from '../helpers/fake-peer.js';
import { mp4 } from '../helpers/mp4.js';
import { TestNode, type Uploaded } from '../helpers/node.js';
import { freePort } from '../helpers/ports.js';
import { runFor } from '../helpers/programs.js';

const DAEMON = fileURLToPath(new URL('../../daemon/main.js', import.meta.url));
const KEY = 'FastDFS1234567890';

// Seen to fail (404, the operator's picture) with the locations of withoutGroup without ^~.
t.test("an operator's own nginx does what FastDFS's nginx module did, with the two includes", async (t) => {
  const programs = findNginx();
  if (!programs) throw new Error('nginx and njs are missing, though "npm test" installs them');
  const old = createServer((_request, response) => response.end('of the old group'));
  const oldPort = await listen(t, old);
  // For settings and a directory only: the node is never started, so it has no nginx.
  const node = await TestNode.create(t);
  const picture = join(node.directory, 'missing.png');
  const refusal = join(node.directory, 'refusal.gif');
  writeFileSync(picture, 'the picture of nothing');
  writeFileSync(refusal, 'the picture that says no');
  node.configure({
    FIDFS_FASTDFS_TOKEN_KEY: KEY,
    FIDFS_FASTDFS_TOKEN_FAIL_IMAGE: refusal,
    FIDFS_NOT_FOUND_IMAGE: picture,
    FIDFS_URL_HAS_GROUP: 'false',
    FIDFS_LEGACY: `group2=http://127.0.0.1:${oldPort}`,
  });
  const directory = join(node.directory, 'own-nginx');
  mkdirSync(directory);
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const { stdout } = await node.command('nginx', '--json');
  const lines: Record<string, string> = JSON.parse(stdout);
  const file = join(directory, 'nginx.conf');
  const log = join(directory, 'access.log');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path "${directory}/${kind}";`,
  );
  writeFileSync(
    file,
    `${programs.module ? `load_module "${programs.module}";\n` : ''}${process.getuid?.() === 0 ? 'user root;\n' : ''}daemon off;
pid "${directory}/nginx.pid";
events { }
http {
  ${temporary.join('\n  ')}
  ${lines.http}
  access_log "${log}" fidfs;
  server {
    listen 127.0.0.1:${port};
    error_page 404 /missing.html;
    location ~* \\.(jpg|txt|mp4)$ { return 200 "the owner's picture"; }
    ${lines.server}
    location / { return 200 "the owner's page"; }
  }
}
`,
  );
  runFor(t, process.execPath, [DAEMON], node.env);
  runFor(t, programs.nginx, ['-e', 'stderr', '-p', directory, '-c', file]);
  const get = (path: string, headers: Record<string, string> = {}) =>
    node.request(path, { method: 'GET', origin, headers });
  await node.until(async () => (await get('/readyz').catch(() => undefined))?.status === 200, 'ready');
  const upload = async (body: Buffer, extension: string): Promise<Uploaded> => {
    const options = { method: 'POST', origin, headers: node.authorized(), body } as const;
    return JSON.parse((await node.request(`/upload?ext=${extension}`, options)).body.toString()).files[0];
  };
  const signed = (name: string, whole = name) =>
    `/${name}?token=${createHash('md5').update(`${whole}${KEY}0`).digest('hex')}&ts=0`;

  const content = Buffer.from('for those who may');
  const { id, url } = await upload(content, 'txt');
  const name = id.slice('group1/'.length);
  t.equal(url, `${origin}/${name}`, 'the url has no group');
  for (const path of [id, name, id.replace('M00/', '')]) {
    t.equal((await get(`/${path}`)).status, 400, 'without a token');
    t.match((await get(`/${path}?token=0&ts=0`)).body.toString(), 'the picture that says no');
    t.ok((await get(signed(path, name))).body.equals(content), path);
  }
  t.equal((await get('/logo.jpg')).body.toString(), "the owner's picture");
  t.equal((await get('/M00')).body.toString(), "the owner's page");

  const absent = name.replace(/^(.*\/)A/, '$1B');
  const nothing = await get(signed(absent), { accept: 'image/*' });
  t.strictSame([nothing.status, nothing.body.toString()], [404, 'the picture of nothing']);
  t.equal((await get(signed(absent))).headers['content-type'], 'application/problem+json');

  const other = 'M00/00/00/CkIAAWsCiLOAAlsdAAAD6HTj-0E952.txt';
  t.equal((await get(`/group2${signed(other)}`)).body.toString(), 'of the old group');
  t.equal((await get(`/group2/${other}`)).status, 400);
  if (programs.seeks.includes('mp4')) {
    const video = await upload(mp4(20), 'mp4');
    const whole = await get(signed(video.id.slice('group1/'.length)));
    const part = await get(`${signed(video.id.slice('group1/'.length))}&start=12`);
    t.ok(part.status === 200 && part.body.length < whole.body.length / 2, 'a part of a video');
  }
  await node.until(() => readFileSync(log, 'utf8').includes('start=12'), 'the log is written');
  t.notMatch(readFileSync(log, 'utf8'), /token=[0-9a-f]{32}/);
});
