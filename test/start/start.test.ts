import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { TestNode } from '../helpers/node.js';
import { missing, run } from '../helpers/programs.js';

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));

t.test(
  'the first start prints where it listens, and a curl line that works when pasted',
  { skip: missing('curl') },
  async (t) => {
    const directory = t.testdir({ 'a b': {} });
    const cases: Record<string, string>[] = [
      { FIDFS_KEY: '', FIDFS_DATA: relative(process.cwd(), join(directory, 'a b')) },
      {},
      { FIDFS_KEY: '', FIDFS_CONFIG: join(t.testdir({ "it's.json": '{"key":"key-of-the-file-1"}' }), "it's.json") },
      { FIDFS_KEY: '', FIDFS_UPLOADS: 'open' },
    ];
    const lines: string[] = [];
    for (const env of cases) {
      const node = await TestNode.start(t, { env });
      t.match(node.log, `is ready on ${node.origin}\n`);
      const line = / try +(curl .*)/.exec(node.log)?.[1] ?? '';
      // Seen to fail with $FIDFS_KEY for a key that only the settings file has.
      const { stdout, stderr } = await run('sh', ['-c', line], { FIDFS_KEY: env.FIDFS_KEY ?? node.key });
      t.match(stdout, /"files":\[\{"id":"group1\/M00/, line, { stderr });
      lines.push(line);
      const command = / the command +(.*)/.exec(node.log)?.[1] ?? '';
      // Seen to fail without FIDFS_DATA, FIDFS_LISTEN or --config in it.
      const status = await run('sh', ['-c', `cd / && ${command}`], { FIDFS_KEY: env.FIDFS_KEY ?? node.key });
      t.match(status, { status: 0, stdout: /All is well/, stderr: '' }, command);
      t.notMatch(command, node.key, 'no secrets in it');
      await node.stop();
    }
    t.match(lines[0], /\$\(cat '.*a b\/key'\)/);
    t.match(lines[1], '$FIDFS_KEY');
    t.notMatch(lines[3], 'Authorization');
  },
);

// Outside of the checkout npx would fetch a package of that name from the registry, and anybody may own that name. Seen to
// fail with the hint of the web page.
t.test('nobody is told to run npx fidfs', async (t) => {
  const places = ['console/src', 'daemon', 'nginx', 'njs', 'bin', 'docs', 'README.md'];
  const { stdout } = await run('grep', ['-rn', 'npx fidfs', ...places.map((place) => join(PROJECT, place))]);
  t.equal(stdout, '');
});

t.test('a second start needs nothing from the first, shows no key and serves what was stored', async (t) => {
  const node = await TestNode.start(t, { env: { FIDFS_KEY: '', FIDFS_UPLOADS: 'open' } });
  const { id } = JSON.parse(String((await node.post('before')).body)).files[0];
  t.match(node.log, 'anybody who reaches this address can upload');
  t.match(node.log, 'upload key');
  await node.stop();
  const before = node.log.length;
  await node.start();
  t.notMatch(node.log.slice(before), 'upload key');
  t.equal(String((await node.get(id)).body), 'before');
});

t.test('an address that is taken stops the start with a line that says which, and nothing stays', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.teardown(() => taken.close());
  const address = `127.0.0.1:${(taken.address() as { port: number }).port}`;
  for (const [variable, setting] of [
    ['FIDFS_LISTEN', '"listen" \\(FIDFS_LISTEN\\)'],
    ['FIDFS_DAEMON_LISTEN', '"daemonListen" \\(FIDFS_DAEMON_LISTEN\\)'],
  ] as const) {
    const node = await TestNode.create(t, { env: { [variable]: address } });
    // Seen to fail without whyNotFree: the program that has the address was taken for our nginx.
    const { status, stdout, stderr } = await node.command('start');
    t.equal(status, 1);
    t.equal(stdout, '');
    t.match(stderr, new RegExp(`^fidfs: .*cannot listen on ${address}: .*in use.*${setting}\n$`));
    t.notOk(existsSync(join(node.data, 'nginx/nginx.pid')), 'no nginx');
  }
});

// Seen to fail without `portTaken`: the second address is reported only at the next attempt.
t.test('where both addresses are taken, both are named at once', async (t) => {
  const first = await TestNode.start(t);
  const env = { FIDFS_LISTEN: `127.0.0.1:${first.port}`, FIDFS_DAEMON_LISTEN: `127.0.0.1:${first.daemonPort}` };
  const second = await TestNode.create(t, { env });
  const { status, stderr } = await second.command('start');
  t.equal(status, 1);
  t.match(stderr.trimEnd().split('\n'), [
    new RegExp(`^fidfs: .*cannot listen on ${env.FIDFS_DAEMON_LISTEN}: .*\\(FIDFS_DAEMON_LISTEN\\)$`),
    new RegExp(`^nginx cannot listen on ${env.FIDFS_LISTEN}: .*\\(FIDFS_LISTEN\\)$`),
  ]);
});

t.test('a second node on the same data directory is refused, and the first goes on', async (t) => {
  const node = await TestNode.start(t);
  const nginx = () => readFileSync(join(node.data, 'nginx/nginx.pid'), 'utf8');
  // nginx listens before it writes this file.
  await node.until(() => existsSync(join(node.data, 'nginx/nginx.pid')), 'with the process id of nginx');
  const before = nginx();
  const { status, stderr } = await node.command('start');
  t.equal(status, 1);
  t.match(stderr, `another fidfs process uses ${node.data}; stop it first`);
  // Seen to fail when the left-over nginx is stopped before the daemon has the lock.
  t.equal((await node.get('/readyz')).status, 200);
  t.equal(nginx(), before);
});
