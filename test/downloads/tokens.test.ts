import { createHash } from 'node:crypto';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { assertProblem } from '../helpers/assert-problem.js';
import { createCluster, startAll } from '../helpers/cluster.js';
import { TestNode } from '../helpers/node.js';
import { missing, run } from '../helpers/programs.js';

/** With characters that nginx's configuration cannot contain. */
const KEY = 'FastDFS "$key" ü';
const IMAGE = Buffer.from('the picture that says no');

const now = () => Math.floor(Date.now() / 1000);

/** The token of a name without its group. */
function tokenOf(name: string, ts: number | string, key = KEY): string {
  return createHash('md5').update(`${name}${key}${ts}`).digest('hex');
}

/** The query with a valid token for an ID. */
function signed(id: string, ts: number | string = now()): string {
  return `token=${tokenOf(id.slice(id.indexOf('/') + 1), ts)}&ts=${ts}`;
}

const head = (node: TestNode, path: string) => node.request(`/${path}`, { method: 'HEAD' });

/** The lines of nginx's access log after one with this word has arrived. */
async function accessLog(node: TestNode, word: string): Promise<string> {
  const text = () => readFileSync(join(node.data, 'log/access.log'), 'utf8');
  await node.until(() => text().includes(word), 'the access log is written');
  return text();
}

t.test('the token of the facts is the one that is computed here', async (t) => {
  const name = 'M00/0E/FB/CkIAAWsCjoiAGm2MAAAD6CKJ0IA746.txt';
  t.equal(tokenOf(name, 1795329672, 'FastDFS1234567890'), 'f9a0af578b64942053bc155f5cd61fc4');
});

// Seen to fail with the group left in the name, in each of the three.
t.test('the lines of docs/settings.md make such a token', async (t) => {
  const page = readFileSync(new URL('../../../docs/settings.md', import.meta.url), 'utf8');
  const lines = (language: string) => new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 's').exec(page)?.[1] ?? '';
  const url = 'http://127.0.0.1:8080/group1/M00/00/00/AQAAAGsCqhmAO3ipAAST4HsUpnM370.jpg';
  const wanted = `${url}?token=${tokenOf('M00/00/00/AQAAAGsCqhmAO3ipAAST4HsUpnM370.jpg', 1795329672)}&ts=1795329672`;
  const words = [url, KEY, '1795329672'];
  const programs: [program: string, ...words: string[]][] = [
    ['php', '-r', `${lines('php')} echo link_to($argv[1], $argv[2], (int) $argv[3]);`, '--', ...words],
    [
      process.execPath,
      ...['--input-type=module', '-e', `${lines('js')} console.log(linkTo(...process.argv.slice(1)));`, '--', ...words],
    ],
    ['python3', '-c', `${lines('python')}\nimport sys\nprint(link_to(*sys.argv[1:]))`, ...words],
  ];
  for (const [program, ...words] of programs) {
    t.test(program, { skip: missing(program) }, async (t) => {
      const { stdout, stderr } = await run(program, words);
      t.equal(stdout.trim(), wanted, stderr);
    });
  }
});

t.test('with fastdfsTokenKey a file is sent to those who have a token', async (t) => {
  const node = await TestNode.start(t, { env: { FIDFS_FASTDFS_TOKEN_KEY: KEY, FIDFS_FASTDFS_TOKEN_TTL: '900s' } });
  const content = Buffer.from('for those who may');
  const { id, url } = await node.upload(content, '?ext=txt');
  const absent = id.replace(/^(.*\/)A/, '$1B');

  // Seen to fail without tokenGuard in the location of downloads.
  t.test('nobody else gets it, nor learns whether it exists', async (t) => {
    for (const path of [id, `${id}?download`, `${id}?token=&ts=`, `${id}?ts=0`, `${id}?token=${'0'.repeat(32)}`]) {
      for (const file of [path, path.replace(id, absent)]) {
        assertProblem(t, await node.get(file), 400, 'bad-request', file);
      }
    }
    const dated = { 'if-modified-since': 'Wed, 21 Oct 2015 07:28:00 GMT', range: 'bytes=0-3' };
    t.equal((await node.get(id, dated)).status, 400);
    t.equal((await head(node, id)).status, 400);
    t.equal((await node.get(`${id}-m`)).status, 400, 'metadata of FastDFS');
    t.equal((await node.get('group1/M05/00/00/x')).status, 400, 'a store path that is not here');
    t.equal((await node.get(url.slice(node.origin.length))).status, 400, 'the url of the upload has no token');
    t.equal((await node.get(`${absent}?${signed(absent)}`)).status, 404, 'with a token');
  });

  // Seen to fail with the whole URI as the name, with a comparison of lower case, and without Cache-Control's `private`.
  t.test('a token opens its own file, in every way of reading it', async (t) => {
    const token = signed(id);
    const whole = await node.get(`${id}?${token}`);
    t.strictSame([whole.status, whole.body], [200, content]);
    t.equal(whole.headers['cache-control'], 'private, max-age=31536000, immutable');
    const part = await node.get(`${id}?${token}`, { range: 'bytes=4-8' });
    t.strictSame([part.status, part.body.toString()], [206, 'those']);
    t.equal((await node.get(`${id}?${token}`, { 'if-none-match': String(whole.headers.etag) })).status, 304);
    const named = await node.get(`${id}?download=a.txt&${token}`);
    t.strictSame([named.status, named.headers['cache-control']], [200, 'private, max-age=31536000, immutable']);
    t.match(named.headers['content-disposition'], 'attachment; filename="a.txt"');
    t.equal((await head(node, `${id}?${token}`)).status, 200);
    const later = { 'if-modified-since': new Date(Date.now() + 60_000).toUTCString() };
    t.equal((await node.get(`${id}?${token}`, later)).status, 304);
    t.equal((await node.get(`/.//${id}?${token}`)).status, 200, 'however the address is written');
    const other = await node.upload(Buffer.from('another'), '?ext=txt');
    t.equal((await node.get(`${other.id}?${token}`)).status, 400, 'not another file');
  });

  // Seen to fail (expired) without the comparison with ttl, (never) without `ts !== 0`, and (atoi) with the text as it is.
  t.test('it expires after fastdfsTokenTtl, unless ts is 0 or in the future', async (t) => {
    const status = async (query: string) => (await node.get(`${id}?${query}`)).status;
    t.equal(await status(signed(id, now() - 890)), 200, 'within its time');
    t.equal(await status(signed(id, now() - 910)), 400, 'expired');
    t.equal(await status(signed(id, 0)), 200, 'never');
    t.equal(await status(signed(id, now() + 100_000)), 200, 'the future');
    t.equal(await status(signed(id, -5)), 400, 'before 1970');
    const name = id.slice('group1/'.length);
    const ts = now();
    t.equal(await status(`token=${tokenOf(name, ts)}&ts=+00${ts}abc`), 200, 'ts is read by atoi');
    t.equal(await status(`token=${tokenOf(name, 0)}&ts=x`), 200, 'no number is 0');
    const token = tokenOf(name, ts);
    for (const wrong of [token.toUpperCase(), token.slice(1), `${token}0`, `${token}${token}`, `%20${token}`, '0']) {
      if (wrong !== token) t.equal(await status(`token=${wrong}&ts=${ts}`), 400, wrong);
    }
    t.equal(await status(`token=${token}&ts=${ts + 1}`), 400, 'another ts');
    t.equal(await status(`token=${tokenOf(name, ts, 'another key')}&ts=${ts}`), 400, 'another key');
  });

  // Seen to fail without tokenQuery.
  t.test('fidfs get makes a token by itself', async (t) => {
    const file = join(node.directory, 'got.txt');
    const { status, stderr } = await node.command('get', id, '-o', file);
    t.equal(status, 0, stderr);
    t.strictSame(readFileSync(file), content);
  });

  t.test('uploads and deletions need the upload key only', async (t) => {
    const { id } = await node.upload(Buffer.from('short-lived'));
    t.equal((await node.delete(id)).status, 204);
    t.equal((await node.get(`/info/${id}`)).status, 200, 'what an ID says is in the ID');
  });

  // Seen to fail with $request_uri and $http_referer in log_format, without (?:.*&)? and without the pattern of two tokens.
  t.test('the access log has no token whole, and neither has the log of the node', async (t) => {
    const ts = now();
    const token = signed(id, ts).slice('token='.length, 'token='.length + 32);
    for (const query of [
      `token=${token}&ts=${ts}`,
      `download=a&TOKEN=${token}&ts=${ts}&x=y`,
      `ts=${ts}&token=${token}`,
      `token=x&token=${token}`,
      `token=${token}&token=x`,
    ]) {
      await node.get(`${id}?${query}`, { referer: `${node.origin}/${id}?a=b&${query}` });
    }
    await node.get(`/upload?token=${token}`);
    await node.request(`/${id}?token=${token}`, { method: 'DELETE' });
    await node.get('/healthz?the-last');
    const log = await accessLog(node, 'the-last');
    t.notOk(log.includes(token), 'the access log');
    t.notOk(node.log.includes(token), 'the log of the daemon and of nginx');
    t.match(log, `"uri":"/${id}?token=***&ts=${ts}"`);
    t.match(log, `"uri":"/${id}?download=a&TOKEN=***&ts=${ts}&x=y"`);
    t.match(log, `"referer":"${node.origin}/${id}?a=b&ts=${ts}&token=***"`);
  });

  // Seen to fail without hasSecret in writeServerInclude.
  t.test('the key is in no file that others may read, and in no log', async (t) => {
    const written = Buffer.from(KEY).toString('base64');
    for (const name of ['fidfs-server.conf', 'own-server.conf']) {
      const file = join(node.data, 'nginx', name);
      t.ok(readFileSync(file, 'utf8').includes(written), name);
      t.equal(statSync(file).mode & 0o777, 0o600, name);
    }
    for (const name of ['nginx/fidfs-http.conf', 'nginx/nginx.conf', 'log/access.log']) {
      const text = readFileSync(join(node.data, name), 'utf8');
      t.notOk(text.includes(written) || text.includes(KEY), name);
    }
    t.notOk(node.log.includes(KEY) || node.log.includes(written));
  });
});

t.test('the answers to a wrong token are as the settings say', async (t) => {
  const node = await TestNode.create(t, { env: { FIDFS_FASTDFS_TOKEN_KEY: KEY } });
  const image = join(node.directory, 'no such "link".jpg');
  writeFileSync(image, IMAGE);
  await node.start();
  const { id } = await node.upload(Buffer.from('content'), '?ext=txt');
  const wrong = `${id}?token=${'0'.repeat(32)}&ts=0`;
  const isImage = async (t: Test, status: number) => {
    const answer = await node.get(wrong, { range: 'bytes=0-1', 'if-none-match': '"x"' });
    t.strictSame([answer.status, answer.body], [status, IMAGE]);
    t.match(answer.headers, { 'content-type': 'image/jpeg', 'cache-control': 'no-store' });
    t.match(await head(node, wrong), { status, headers: { 'content-length': String(IMAGE.length) } });
  };
  const restart = async (env: Record<string, string>) => {
    await node.stop();
    node.configure(env);
    await node.start();
  };

  await restart({ FIDFS_FASTDFS_TOKEN_FAIL_IMAGE: image });
  // Seen to fail without `=200` in tokenErrorPages, and (range, condition) without max_ranges and if_modified_since.
  await t.test('fastdfsTokenFailImage is sent with 200 for a wrong one', async (t) => {
    await isImage(t, 200);
    // Seen to fail with $args in the map in place of $request_uri.
    t.notMatch(await accessLog(node, 'token='), '0'.repeat(32), 'the access log, though error_page empties $args');
    assertProblem(t, await node.get(id), 400, 'bad-request', 'without a token there is no picture');
  });
  await restart({ FIDFS_FASTDFS_TOKEN_STRICT: 'true' });
  await t.test('with fastdfsTokenStrict it is sent with 403', async (t) => {
    await isImage(t, 403);
    assertProblem(t, await node.get(id), 403, 'forbidden', 'without a token');
    rmSync(image);
    assertProblem(t, await node.get(wrong), 403, 'forbidden', 'the picture is lost');
  });
  await restart({ FIDFS_FASTDFS_TOKEN_FAIL_IMAGE: '' });
  assertProblem(t, await node.get(wrong), 403, 'forbidden', 'strict, without a picture');
});

t.test('every entrance of a cluster checks, and nodes read from each other without tokens', async (t) => {
  const nodes = await createCluster(t, {
    groups: ['group1', 'group1', 'group2'],
    env: { FIDFS_FASTDFS_TOKEN_KEY: KEY, FIDFS_COPIES: '1' },
  });
  await startAll(nodes);
  const [first, second, third] = nodes as [TestNode, TestNode, TestNode];
  const content = Buffer.from('in one group');
  const { id } = await first.upload(content, '?group=group1&ext=txt');
  await second.until(() => nodes.slice(0, 2).every((node) => node.hasFile(id)), 'copied');
  // Now it is on the first node alone, and the second one has to ask for it.
  const holder = first;
  rmSync(second.pathOf(id));

  // Seen to fail without tokenGuard in the location of other groups.
  t.test('a file of another node, or another group, needs its token here', async (t) => {
    for (const node of nodes) {
      t.equal((await node.get(id)).status, 400);
      t.equal((await node.get(`${id}?token=${'0'.repeat(32)}&ts=0`)).status, 400);
      t.strictSame((await node.get(`${id}?${signed(id)}`)).body, content);
      const part = await node.get(`${id}?download=a&${signed(id)}`, { range: 'bytes=0-1' });
      t.strictSame([part.status, part.body.toString()], [206, 'in']);
      t.match(part.headers['content-disposition'], 'attachment; filename="a"');
      t.match(part.headers['cache-control'], 'private');
    }
  });

  // Seen to fail without argsFor, which removes them.
  t.test('the token stays with the node that was asked', async (t) => {
    await third.get(`${id}?download=only-here&${signed(id, 0)}`);
    t.ok(await accessLog(holder, `"uri":"/${id}?download=only-here"`));
  });

  // Seen to fail with a check of the form of the mark only.
  t.test('a made-up read mark stands for no token', async (t) => {
    for (const mark of [`2 ${'0'.repeat(64)}`, '2', 'x']) {
      t.equal((await holder.get(id, { 'x-fidfs-peer': mark })).status, 400, mark);
    }
  });
});
