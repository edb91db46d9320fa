import { appendFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { PROTOCOL } from '../../daemon/cluster/hello.js';
import { SignatureCheck, schemeOf, sign } from '../../daemon/cluster/signature.js';
import { TestNode } from '../helpers/node.js';

/** Every file below a directory, with the attributes that show a change. */
function stateOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) => {
    const { size, mtimeMs } = statSync(join(directory, name));
    return `${name} ${size} ${mtimeMs}`;
  });
}

// Seen to fail without the version in readMarker: rebuild used the path, and truncated the odd byte of the tombstones.
t.test('a store path whose layout is of a later version is neither used nor changed', async (t) => {
  const node = await TestNode.start(t);
  const { id } = await node.upload(Buffer.from('kept'));
  await node.stop();
  const marker = join(node.storePath, 'fidfs-store-path');
  const identity = readFileSync(marker, 'utf8').trim();
  writeFileSync(marker, `${identity} 2\n`);
  appendFileSync(join(node.storePath, 'tombstones'), 'x');
  const before = stateOf(node.storePath);
  const words = /its layout has version 2, this fidfs knows 1; run a later one/;
  await t.rejects(node.start(), words, 'start');
  for (const command of ['rebuild', 'verify']) {
    t.match(await node.command(command), { status: 1, stderr: words }, command);
  }
  t.strictSame(stateOf(node.storePath), before);
  writeFileSync(marker, `${identity} 1\n`);
  await t.rejects(node.start(), /another store path is there than the index knows/, 'no other spelling of version 1');
  writeFileSync(marker, `${identity}\n`);
  await node.start();
  t.equal((await node.get(id)).body.toString(), 'kept');
});

// Seen to fail (the index has the newest version) with `upgrades` left out in verify.
t.test('verify does not upgrade an index, because a node of the earlier version may be running', async (t) => {
  const node = await TestNode.start(t);
  await node.upload(Buffer.from('kept'));
  await node.stop();
  const file = join(node.data, 'index.db');
  const versionOf = (set = '') => {
    const database = new Database(file);
    try {
      return Number(database.pragma(`user_version${set}`, { simple: true }) ?? 0);
    } finally {
      database.close();
    }
  };
  const newest = versionOf();
  const database = new Database(file);
  // The schema before its last step.
  database.exec('DROP TABLE event');
  database.close();
  versionOf(` = ${newest - 1}`);
  const words = `has version ${newest - 1}, this fidfs makes ${newest} of it at the next start; start the node first`;
  t.match(await node.command('verify'), { status: 1, stderr: words });
  t.equal(versionOf(), newest - 1);
  await node.start();
  t.equal(versionOf(), newest);
  await node.assertClean(t);
});

// Seen to fail with one scheme for all protocols.
t.test('a request of another version of the protocol is refused, whatever the version in hello', async (t) => {
  const check = new SignatureCheck('peer-secret-0123456789', 2);
  const asked = { method: 'GET', path: '/.fidfs/peer/hello', sender: 1, receiver: 2 };
  const signed = sign('peer-secret-0123456789', asked);
  t.equal(schemeOf(1), 'FIDFS-HMAC-SHA256', 'as fidfs 0.1 signs');
  const later = signed.replace(schemeOf(PROTOCOL), schemeOf(PROTOCOL + 1));
  t.throws(() => check.verify(asked.method, asked.path, later), {
    message: `The request is of protocol ${PROTOCOL + 1}, this node speaks ${PROTOCOL}; run the same version.`,
  });
  t.throws(() => check.verify(asked.method, asked.path, 'Bearer x'), /not signed as requests between nodes are/);
  t.equal(check.verify(asked.method, asked.path, signed), 1);
});
