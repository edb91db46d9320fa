import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { version } from '../../daemon/version.js';
import { flipByte } from '../helpers/disk.js';
import { TestNode } from '../helpers/node.js';

// Seen to fail with "1 files", and with "fetched from peers" whatever the settings.
t.test('a node alone, with one file: the command counts it right, and speaks of no peers', async (t) => {
  const node = await TestNode.start(t);
  const { id } = await node.upload(Buffer.from('the only one'));
  const said = async (...words: string[]) => {
    const { stdout, stderr } = await node.command(...words);
    t.notMatch(stdout + stderr, /\b1 \w+s\b|peer/, words.join(' '));
    return stdout;
  };
  t.match(await said('status'), /: 1 file, 12 B\n/);
  t.match(await said('verify'), '1 file (0 foreign), 12 B read; 0 whose names contain no checksum; 0 wrong\n');
  t.match(await said('scrub'), '1 file, 12 B read; 0 bad; 0 that had no record\n');
  flipByte(node.pathOf(id), 3);
  t.match(
    await said('scrub'),
    '1 file, 12 B read; 1 bad, and no other node to fetch it from ("fidfs status" says more); 0 that had no record\n',
  );
  t.match(await said('status'), /damage: .*; what was there is kept as .*; there is no other node to fetch it from\n/);
  t.notMatch(node.log, 'peer');
  // Without peers, missing files cannot be fetched, so the node does not wait for them. Seen to fail (503) when they are
  // counted.
  await node.stop();
  await node.start();
  t.equal((await node.get('/readyz')).status, 200, 'ready after a restart');
  t.match(await said('status'), /In trouble:\n {2}1 file is missing, and there is no other node to fetch it from\n$/);
  t.equal((await node.delete((await node.upload(Buffer.from('another'))).id)).status, 204);
  await node.stop();
  writeFileSync(join(node.storePath, 'data', '00', '00', 'CkIAAWsCjoiAGm2MAAAD6CKJ0IA746.txt'), 'foreign');
  t.match(await said('rebuild'), '0 files, 0 B, 1 deletion; 1 foreign file left alone\n');
});

// Seen to fail with the message of a ready node, and, where the directory was changed, with that of an unmounted disk.
t.test(
  'a start without its store path says that the node is not ready, why, and how a store path is moved',
  async (t) => {
    const node = await TestNode.start(t);
    const { id } = await node.upload(Buffer.from('kept'));
    const first = node.storePath;
    const second = join(node.directory, 'second');
    const start = async (): Promise<string> => {
      await node.stop();
      const before = node.log.length;
      await node.start();
      return node.log.slice(before);
    };
    renameSync(first, `${first}-away`);
    const without = await start();
    t.match(
      without,
      `fidfs ${version} has started on ${node.origin}, but is not ready: no store path takes files: ` +
        `${first}: fidfs-store-path is missing; is the disk mounted?\n  ready        when ${node.origin}/readyz says so\n`,
    );
    t.notMatch(without, 'is ready on');
    // Seen to fail (all its files are reported as lost) when the files of all store paths are checked.
    const verified = await node.command('verify');
    t.match(
      verified.stdout,
      `M00: ${first}: fidfs-store-path is missing; is the disk mounted?\n0 files (0 foreign), 0 B read; `,
    );
    t.match(verified, { status: 1, stdout: /; 1 wrong\n$/ });
    renameSync(`${first}-away`, first);
    node.configure({ FIDFS_STORE_PATHS: second });
    t.match(
      await start(),
      `is not ready: no store path takes files: ${second}: fidfs-store-path is missing, and storePaths names another ` +
        'directory than at the last start; to move a store path, stop the node and move its directory with all that is in ' +
        'it, fidfs-store-path included, to the new place, or else write the old one again\n',
    );
    await node.until(() => node.log.includes(`"lastStorePath":"${first}"`), 'told by the log which it was');
    await node.stop();
    renameSync(first, second);
    t.match(await start(), `is ready on ${node.origin}\n`);
    t.equal((await node.get(id)).body.toString(), 'kept', 'it was moved');
  },
);
