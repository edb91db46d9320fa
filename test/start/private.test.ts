import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { findNginx } from '../../nginx/programs.js';
import { TestNode } from '../helpers/node.js';
import { freePort } from '../helpers/ports.js';
import { cannotRunAsOthers, missing } from '../helpers/programs.js';

/** Debian's user `games` with its group, and `nobody`, who is not in that group. */
const OWNER = { uid: 5, gid: 60 };
const NOBODY = { uid: 65534, gid: 65534 };
const WEB_SERVER = 'www-data';
/** A foreign file of FastDFS, from docs/http.md; it is served like the others. */
const FOREIGN = 'group1/M00/0E/FB/CkIAAWsCjoiAGm2MAAAD6CKJ0IA746.txt';

const users = readFileSync('/etc/passwd', 'utf8');
const hasUsers = users.includes('\ngames:x:5:60:') && users.includes(`\n${WEB_SERVER}:x:`);
const skip = hasUsers ? cannotRunAsOthers() || missing('curl') : 'needs the users "games" and "www-data" of Debian';

/** The paths that a user can read in the node's directories, and the daemon's socket if he can connect to it. */
function readableBy(user: { uid: number; gid: number }, node: TestNode): string[] {
  const roots = [node.data, node.storePath];
  const words = [...roots, '-not', '-type', 'd', '-readable', '-print', '-o', '-type', 'd', '-readable', '-print'];
  const { stdout } = spawnSync('find', words, { encoding: 'utf8', cwd: '/', ...user });
  const socket = join(node.data, 'daemon.sock');
  const asked = spawnSync('curl', ['-s', '--unix-socket', socket, 'http://x/readyz'], { cwd: '/', ...user });
  const found = stdout.split('\n').filter((path) => path !== '' && path !== socket);
  return [...new Set(found), ...(asked.status === 0 ? [socket] : [])];
}

/** A node of OWNER with a separate store path, in a directory that all users may enter. */
async function nodeOfOwner(t: Test): Promise<TestNode> {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o755);
  for (const name of ['data', 'disk']) {
    mkdirSync(join(directory, name), { mode: 0o755 });
    chownSync(join(directory, name), OWNER.uid, OWNER.gid);
  }
  const env = { FIDFS_KEY: '', FIDFS_STORE_PATHS: join(directory, 'disk') };
  return TestNode.create(t, { directory, env });
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

/** Makes an upload of each kind and a deletion; returns the IDs and their contents. */
async function use(node: TestNode): Promise<Map<string, Buffer>> {
  const headers = { authorization: `Bearer ${readFileSync(join(node.data, 'key'), 'utf8').trim()}` };
  const contents = [Buffer.from('small'), Buffer.alloc(2_000_000, 'large'), Buffer.from('small')];
  const stored = new Map<string, Buffer>();
  for (const body of contents) {
    const answer = await node.request('/upload', { method: 'POST', body, headers });
    stored.set(JSON.parse(String(answer.body)).files[0].id, body);
  }
  const { body } = await node.request('/upload', { method: 'POST', body: 'to be deleted', headers });
  await node.request(`/${JSON.parse(String(body)).files[0].id}`, { method: 'DELETE', headers });
  return stored;
}

async function assertServes(t: Test, node: TestNode, stored: Map<string, Buffer>): Promise<void> {
  for (const [id, content] of stored) t.ok((await node.get(id)).body.equals(content), id);
}

// Seen to fail without restrictAccess, without its list of files, and with a data directory whose mode comes from the umask
// only.
t.test('nobody else on the machine can read what a node keeps, or reach its daemon', { skip }, async (t) => {
  const node = await nodeOfOwner(t);
  // A data directory created by the node, with the default store path.
  const plain = await TestNode.start(t);
  t.equal(modeOf(plain.data), '700');
  await node.start();
  const stored = await use(node);
  const assertPrivate = (t: Test) => {
    t.strictSame(readableBy(NOBODY, node), [node.storePath], 'the mount point is as it was, what is on it is not open');
    t.strictSame(readableBy({ uid: NOBODY.uid, gid: OWNER.gid }, node), [node.storePath], 'nor to the group');
  };
  assertPrivate(t);
  await node.stop();

  t.test('and what an earlier version or FastDFS left open is closed, and served', async (t) => {
    const foreign = join(node.storePath, 'data', FOREIGN.split('/').slice(2).join('/'));
    mkdirSync(dirname(foreign), { recursive: true });
    const content = execFileSync('head', ['-c', '1000', '/dev/zero']);
    execFileSync('sh', ['-c', 'cat > "$0"', foreign], { input: content });
    chownSync(foreign, NOBODY.uid, NOBODY.gid);
    execFileSync('chmod', ['-R', 'a+rX', node.data, node.storePath]);
    chmodSync(join(node.storePath, 'ballast'), 0o600);
    t.not(readableBy(NOBODY, node).length, 1, 'open');
    await node.start();
    assertPrivate(t);
    await assertServes(t, node, new Map([...stored, [FOREIGN, content]]));
    for (const name of ['key', 'index.db', 'index.db-wal', 'index.db-shm', 'lock']) {
      t.equal(modeOf(join(node.data, name)), '600', name);
    }
    await node.stop();
  });

  t.test('verify, rebuild and nginx leave it so', async (t) => {
    await node.command('verify');
    await node.command('rebuild');
    await node.command('nginx');
    t.strictSame(readableBy(NOBODY, node), [node.storePath]);
  });
});

/** Starts the user's own nginx as root, with workers of another user. */
function startNginx(t: Test, node: TestNode, port: number, lines: Record<string, string>): ChildProcess {
  const programs = findNginx();
  if (!programs) throw new Error('nginx and njs are missing, though "npm test" installs them');
  const directory = join(node.directory, 'own-nginx');
  mkdirSync(directory, { recursive: true });
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path "${directory}/${kind}";`,
  );
  const configuration = `${programs.module ? `load_module "${programs.module}";` : ''}
user ${WEB_SERVER} games;
daemon off;
pid "${directory}/nginx.pid";
error_log stderr warn;
events { }
http {
  access_log off;
  ${temporary.join('\n')}
  ${lines.http}
  server {
    listen 127.0.0.1:${port};
    ${lines.server}
  }
}
`;
  const file = join(directory, 'nginx.conf');
  execFileSync('sh', ['-c', 'cat > "$0"', file], { input: configuration });
  const child = spawn(programs.nginx, ['-e', 'stderr', '-p', directory, '-c', file], { stdio: 'ignore' });
  t.teardown(async () => {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  });
  return child;
}

// Seen to fail without GROUP for the store path's data (404), with the socket's mode 0600 (503), with files created with
// umask 077 (403), and without the list of private files (the index).
t.test('a data directory with mode 0750 lets the nginx of another user in, and no more', { skip }, async (t) => {
  const node = await nodeOfOwner(t);
  await node.start();
  const stored = await use(node);
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  startNginx(t, node, port, JSON.parse((await node.command('nginx', '--json')).stdout));
  const key = readFileSync(join(node.data, 'key'), 'utf8').trim();
  const request = (path: string, options: object = {}) =>
    node.request(path, { method: 'GET', origin, headers: { authorization: `Bearer ${key}` }, ...options });
  await node.until(
    () =>
      request('/healthz').then(
        ({ status }) => status === 200,
        () => false,
      ),
    'listening',
  );
  const [id] = stored.keys();
  t.notMatch((await request(`/${id}`)).status, 200, 'a closed one');
  t.equal((await request('/upload', { method: 'POST', body: 'x' })).status, 503);

  await node.stop();
  chmodSync(node.data, 0o750);
  await node.start();
  for (const [id, content] of [...stored, ...(await use(node))]) {
    t.ok((await request(`/${id}`)).body.equals(content), id);
  }
  const large = await request('/upload', { method: 'POST', body: Buffer.alloc(2_000_000, 'x') });
  t.equal(large.status, 201);
  t.equal((await request(`/${JSON.parse(String(large.body)).files[0].id}`)).body.length, 2_000_000);

  t.strictSame(readableBy(NOBODY, node), [node.storePath], 'others are kept out');
  const readable = readableBy({ uid: NOBODY.uid, gid: OWNER.gid }, node);
  const relative = readable.map((path) => path.replace(`${node.directory}/`, ''));
  const isNeeded = (path: string) =>
    /^(?:data|disk|data\/daemon\.sock|data\/nginx(?:\/.*)?|disk\/data(?:\/.*)?)$/.test(path);
  t.strictSame(
    relative.filter((path) => !isNeeded(path)),
    [],
    'not the index, the key, the logs or the temporary files',
  );

  await node.stop();
  chmodSync(node.data, 0o700);
  // The node cannot change the mode of a directory of another user.
  const others = join(node.storePath, 'quarantine');
  chownSync(others, 0, OWNER.gid);
  chmodSync(others, 0o770);
  await node.start();
  t.strictSame(readableBy({ uid: NOBODY.uid, gid: OWNER.gid }, node), [node.storePath, others], 'closed again');
  const words = `other users of this machine may be able to read ${others}: its access cannot be restricted`;
  await node.until(() => node.log.includes(words), 'said in the log');
});
