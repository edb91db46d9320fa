import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { findNginx } from '../../nginx/programs.js';
import { TestNode, type Uploaded } from '../helpers/node.js';
import { freePort } from '../helpers/ports.js';
import { runFor } from '../helpers/programs.js';
import { seeded } from '../helpers/random.js';

const DAEMON = fileURLToPath(new URL('../../daemon/main.js', import.meta.url));
const HOST = 'files.example.test';

/** An operator's own nginx.conf: TLS, HTTP/2, a server name, other locations and directives, and the two includes. */
function configuration(directory: string, port: number, module: string | undefined, lines: Record<string, string>) {
  return `${module ? `load_module "${module}";\n` : ''}${process.getuid?.() === 0 ? 'user root;\n' : ''}daemon off;
pid "${directory}/nginx.pid";
error_log stderr warn;
events { }
http {
  access_log off;
  client_body_temp_path "${directory}/body";
  proxy_temp_path "${directory}/proxy";
  fastcgi_temp_path "${directory}/fastcgi";
  uwsgi_temp_path "${directory}/uwsgi";
  scgi_temp_path "${directory}/scgi";
  default_type text/html;
  client_max_body_size 1m;
  ${lines.http}
  server {
    listen 127.0.0.1:${port} ssl http2;
    server_name ${HOST};
    ssl_certificate "${directory}/certificate.pem";
    ssl_certificate_key "${directory}/key.pem";
    error_page 404 /missing.html;
    location ~* \\.(jpg|html)$ { return 200 "the owner's picture"; }
    ${lines.server}
    location / { return 200 "the owner's page"; }
    location = /missing.html { return 200 "the owner's missing page"; }
  }
}
`;
}

t.test('an existing nginx serves a node with two include directives', async (t) => {
  const programs = findNginx();
  if (!programs) throw new Error('nginx and njs are missing, though "npm test" installs them');
  const random = seeded(t);
  // For settings and a directory only: the node is never started, so it has no nginx.
  const node = await TestNode.create(t);
  const directory = join(node.directory, 'own-nginx');
  mkdirSync(directory);
  const port = await freePort();
  const origin = `https://${HOST}:${port}`;

  const { status, stdout } = await node.command('nginx', '--json');
  t.equal(status, 0);
  const file = join(directory, 'nginx.conf');
  writeFileSync(file, configuration(directory, port, programs.module, JSON.parse(stdout)));
  const keyAndCertificate = ['-keyout', join(directory, 'key.pem'), '-out', join(directory, 'certificate.pem')];
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', `/CN=${HOST}`];
  execFileSync('openssl', [...request, ...keyAndCertificate], { stdio: 'ignore' });
  execFileSync(programs.nginx, ['-t', '-q', '-e', 'stderr', '-p', directory, '-c', file]);
  runFor(t, process.execPath, [DAEMON], node.env);
  runFor(t, programs.nginx, ['-e', 'stderr', '-p', directory, '-c', file]);

  /** Runs curl with HTTP/2 and the server name; resolves with the answer and its HTTP version. */
  const curl = async (words: string[], input: Buffer = Buffer.alloc(0)) => {
    const always = ['-sk', '--http2', '--resolve', `${HOST}:${port}:127.0.0.1`, '-w', '%{stderr}%{json}'];
    const options = { encoding: 'buffer', maxBuffer: 2 ** 26 } as const;
    const running = promisify(execFile)('curl', [...always, ...words], options);
    running.child.stdin?.end(input);
    const { stdout, stderr } = await running.catch((error: { stdout: Buffer; stderr: Buffer }) => error);
    const { http_version: version, http_code: status, content_type: type } = JSON.parse(stderr.toString());
    return { version, status, type, body: Buffer.from(stdout) };
  };
  const authorized = ['-H', `Authorization: Bearer ${node.key}`];
  await node.until(async () => (await curl([`${origin}/readyz`])).status === 200, 'ready');

  /** Uploads a file with these arguments of curl, and downloads it. */
  const roundTrip = async (t: Test, content: Buffer, ...words: string[]): Promise<Uploaded> => {
    const { version, status, body } = await curl([...authorized, ...words, `${origin}/upload?ext=jpg`], content);
    t.strictSame([version, status], ['2', 201], words.join(' '));
    const uploaded: Uploaded = JSON.parse(body.toString()).files[0];
    t.equal(uploaded.url, `${origin}/${uploaded.id}`, 'the URL has https and the name that the client used');
    const got = await curl([uploaded.url]);
    t.strictSame([got.version, got.status, got.type], ['2', 200, 'image/jpeg']);
    t.ok(got.body.equals(content), 'the same bytes come back');
    return uploaded;
  };

  // Seen to fail with `http` for the scheme in PROXY, and (large) without client_max_body_size in the include.
  t.test('small, large and streamed files are uploaded and downloaded over TLS and HTTP/2', async (t) => {
    for (const size of [0, 1000, 700_000, 3_000_000]) {
      await roundTrip(t, random.bytes(size), '--data-binary', '@-');
    }
    await roundTrip(t, random.bytes(5000), '-F', 'file=@-;filename=photo.jpg');
    // Without a Content-Length.
    await roundTrip(t, random.bytes(3_000_000), '-T', '-');
  });

  // Seen to fail without ^~ in the locations of downloads (x.html) and of /info (in the deletion below).
  t.test('the locations of the operator still work, and do not hide those of the node', async (t) => {
    const text = async (path: string) => (await curl([origin + path])).body.toString();
    t.equal(await text('/'), "the owner's page");
    t.equal(await text('/logo.jpg'), "the owner's picture");
    t.equal(await text('/healthz'), 'ok\n');
    t.match(await curl([`${origin}/group1/x.html`]), { status: 404, type: 'application/problem+json' });
  });

  t.test('a deletion works, and the address answers with a problem document afterwards', async (t) => {
    const { id } = await roundTrip(t, Buffer.from('<script>alert(1)</script>'), '--data-binary', '@-');
    t.equal((await curl(['-X', 'DELETE', `${origin}/${id}`])).status, 401);
    t.equal((await curl([...authorized, '-X', 'DELETE', `${origin}/${id}`])).status, 204);
    await node.until(async () => (await curl([`${origin}/${id}`])).status === 404, 'gone');
    t.match(await curl([`${origin}/${id}`]), { version: '2', status: 404, type: 'application/problem+json' });
    t.match(await curl([`${origin}/info/${id}`]), { status: 200, type: 'application/json' });
  });
});
