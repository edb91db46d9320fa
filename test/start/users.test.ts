import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { TestNode } from '../helpers/node.js';
import { freePort } from '../helpers/ports.js';
import { cannotRunAsOthers, missing } from '../helpers/programs.js';

const NOBODY = { uid: 65534, gid: 65534 };
const skip = cannotRunAsOthers();

/** A directory with a data directory that belongs to the user nobody. */
function directoryOfNobody(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o755);
  mkdirSync(join(directory, 'data'));
  chownSync(join(directory, 'data'), NOBODY.uid, 0);
  return directory;
}

/** The user of each process: daemon, nginx's master, its worker. */
async function usersOf(node: TestNode): Promise<Record<string, number>> {
  // nginx listens before it has started its worker; a worker that answers has its name and its user set.
  await node.request('/healthz', { method: 'GET', origin: `http://${node.env.FIDFS_LISTEN}` });
  const users: Record<string, number> = {};
  for (const pid of node.pids()) {
    const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    const what = /daemon\/main|master|worker/.exec(line)?.[0];
    if (what) users[what] = statSync(`/proc/${pid}`).uid;
  }
  return users;
}

/** Files that do not belong to the user nobody. */
function othersIn(directory: string): string[] {
  const entries = readdirSync(directory, { withFileTypes: true, recursive: true });
  return entries.map((entry) => join(entry.parentPath, entry.name)).filter((path) => statSync(path).uid !== NOBODY.uid);
}

async function assertWorks(t: Test, node: TestNode): Promise<void> {
  const large = Buffer.alloc(2_000_000, 'x');
  const ids = [await node.upload(Buffer.from('small')), await node.upload(large)].map(({ id }) => id);
  t.equal(String((await node.get(ids[0] as string)).body), 'small');
  t.ok((await node.get(ids[1] as string)).body.equals(large));
  t.equal((await node.delete(ids[1] as string)).status, 204);
  await node.assertClean(t);
}

t.test('started by root, nginx and the daemon run as the owner of the data directory', { skip }, async (t) => {
  const directory = directoryOfNobody(t);
  const node = await TestNode.start(t, { directory });
  // Seen to fail with nginx started as root: it would execute with root's rights what the owner writes into its
  // configuration.
  t.strictSame(await usersOf(node), { 'daemon/main': NOBODY.uid, master: NOBODY.uid, worker: NOBODY.uid });
  t.notMatch(node.log, 'unwise');
  await assertWorks(t, node);
  await node.stop();
  await node.command('nginx');
  // Seen to fail with nginx's files written as root.
  t.strictSame(othersIn(node.data), []);
});

// Seen to fail without the capability: nginx may not listen on that port.
t.test('for a port below 1024 too', { skip: skip || missing('setpriv') }, async (t) => {
  const directory = directoryOfNobody(t);
  const node = await TestNode.create(t, { directory });
  const port = await freePort(600, 1023);
  node.configure({ FIDFS_LISTEN: `127.0.0.1:${port}` });
  await node.start();
  t.strictSame(await usersOf(node), { 'daemon/main': NOBODY.uid, master: NOBODY.uid, worker: NOBODY.uid });
  const origin = `http://127.0.0.1:${port}`;
  const { status } = await node.request('/upload', { method: 'POST', body: 'x', headers: node.authorized(), origin });
  t.equal(status, 201);
});

t.test('what root started, verified and rebuilt can be started by the owner himself', { skip }, async (t) => {
  const directory = directoryOfNobody(t);
  const root = await TestNode.start(t, { directory });
  const { id } = await root.upload(Buffer.from('from the first day'));
  await root.stop();
  t.equal((await root.command('verify')).status, 0);
  t.equal((await root.command('rebuild')).status, 0);
  const node = await TestNode.create(t, { directory, user: NOBODY, env: root.env });
  // Seen to fail with a rebuild as root: the daemon could not write to the index.
  await node.start();
  t.strictSame(await usersOf(node), { 'daemon/main': NOBODY.uid, master: NOBODY.uid, worker: NOBODY.uid });
  const origin = root.origin;
  t.equal(String((await node.request(`/${id}`, { method: 'GET', origin })).body), 'from the first day');
  t.equal(
    (await node.request('/upload', { method: 'POST', body: 'x', headers: node.authorized(), origin })).status,
    201,
  );
  await node.stop();
});

t.test('an ordinary user starts a node of his own', { skip }, async (t) => {
  const directory = directoryOfNobody(t);
  const node = await TestNode.start(t, { directory, user: NOBODY });
  await assertWorks(t, node);
});

t.test('root with data of his own is warned, and everything runs as root', { skip }, async (t) => {
  const node = await TestNode.start(t);
  t.match(node.log, /warning +runs as root, which is unwise; give .*data to another user \(chown -R\) and start again/);
  // Seen to fail without "user" in nginx's configuration: its workers ran as nobody and could not read the files.
  t.strictSame(await usersOf(node), { 'daemon/main': 0, master: 0, worker: 0 });
  await assertWorks(t, node);
});

t.test(
  'a data directory of a user without a name stops the start, and the error says what to do',
  { skip },
  async (t) => {
    const directory = directoryOfNobody(t);
    chownSync(join(directory, 'data'), 54321, 0);
    const node = await TestNode.create(t, { directory });
    await t.rejects(
      node.start(),
      /ended with 1:\nfidfs: .*data belongs to user 54321, who has no name on this machine; make/,
    );
  },
);
