import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { TestNode } from '../helpers/node.js';
import { commandLine } from '../helpers/processes.js';
import { cannotRunAsOthers } from '../helpers/programs.js';

/** Debian's user `sync`, whose group has a different name. */
const [USER, GROUP] = [4, 65534];

function userOf(pid: number): number {
  return statSync(`/proc/${pid}`).uid;
}

const hasUser = readFileSync('/etc/passwd', 'utf8').includes(`\nsync:x:${USER}:${GROUP}:`);
const skip = hasUser ? cannotRunAsOthers() : 'needs the user "sync" of Debian';

t.test('started by root, a node runs as the owner of the data directory', { skip }, async (t) => {
  for (const [uid, gid] of [
    [USER, GROUP],
    // Seen to fail without the user in nginx.conf: the workers run as nobody, and every download is 404.
    [0, 0],
  ] as const) {
    t.test(`user ${uid}`, async (t) => {
      const directory = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
      t.teardown(() => rmSync(directory, { recursive: true, force: true }));
      mkdirSync(join(directory, 'data'), { mode: 0o700 });
      for (const one of [directory, join(directory, 'data')]) chownSync(one, uid, gid);
      const node = await TestNode.start(t, { directory });
      const { id } = await node.upload(Buffer.from('mine'));
      t.equal((await node.get(id)).body.toString(), 'mine');
      // The supervisor still runs as root.
      // The processes that care for nginx's cache come and go.
      const users = node
        .pids()
        .filter((pid) => !commandLine(pid).startsWith('nginx: cache'))
        .map(userOf);
      t.equal(userOf(node.daemonPid()), uid, 'the daemon');
      t.equal(users.filter((one) => one === uid).length, uid === 0 ? 4 : 3, 'the daemon and nginx');
      t.equal(/runs as root/.test(node.log), uid === 0, 'a warning only where root owns the data');
    });
  }
});
