import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import t from 'tap';
import fileId from '../../file-id/file-id.js';
import { TestNode } from '../helpers/node.js';

const CONTENT = Buffer.from('what an upload that was never answered left behind');
let counter = 0;

/** An ID that this node would make a little later. */
function mint(size = CONTENT.length, directory = 0, storePath = 0) {
  const created = Math.floor(Date.now() / 1000) + 5;
  const key = fileId.encodeKey({ serverId: 1, created, size, crc32: crc32(CONTENT), counter: counter++ });
  const name = key.toString('base64url') + fileId.makeTail('txt', 0);
  return { key, name, id: fileId.join('group1', storePath, directory, name) };
}

function placeOf(root: string, id: string): string {
  return join(root, 'data', id.slice('group1/M00/'.length));
}

function plant(root: string, id: string, content: Buffer): void {
  mkdirSync(dirname(placeOf(root, id)), { recursive: true });
  writeFileSync(placeOf(root, id), content);
}

// Each line seen to fail without its part of daemon/store/recovery.ts: sweepTemporaries, recoverFile, repeatDeletions,
// withdrawMissingFiles.
for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  t.test(`a start puts right what lies beyond the last ${signal}`, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const paths = [join(directory, 'first'), join(directory, 'second')];
    const first = paths[0] as string;
    const second = paths[1] as string;
    const node = await TestNode.start(t, { directory, env: { FIDFS_STORE_PATHS: paths.join(',') } });
    const { id: kept } = await node.upload(CONTENT);
    const { id: lost } = await node.upload(CONTENT);
    if (signal === 'SIGTERM') await node.stop();
    else {
      process.kill(node.daemonPid(), 'SIGSTOP'); // so that it cannot write a checkpoint when its parent ends
      const daemon = node.daemonPid();
      await node.stop('SIGKILL');
      process.kill(daemon, 'SIGKILL');
    }

    const temporary = join(first, 'tmp/an-upload-under-way');
    writeFileSync(temporary, CONTENT);
    const whole = mint();
    plant(first, whole.id, CONTENT);
    // A file in a directory that exists only on the second path, after directories that exist only on the first.
    for (let number = 1; number < 20; number++) plant(first, mint(CONTENT.length, number).id, CONTENT);
    const far = mint(CONTENT.length, 20, 1);
    plant(second, far.id, CONTENT);
    const torn = mint();
    plant(first, torn.id, CONTENT.subarray(0, 10));
    const deleted = mint();
    plant(first, deleted.id, CONTENT);
    appendFileSync(join(first, 'tombstones'), deleted.key);
    // A deletion of which only the tombstone was written.
    const root = kept.startsWith('group1/M00') ? first : second;
    appendFileSync(join(root, 'tombstones'), fileId.keyOf(kept.slice(-34)));
    // A record beyond the checkpoint may have no file. After a clean stop there is no such record.
    if (signal === 'SIGKILL') rmSync(placeOf(lost.startsWith('group1/M00') ? first : second, lost));

    await node.start();
    const status = async (id: string) => (await node.get(id)).status;
    t.notOk(existsSync(temporary), 'the temporary is swept');
    t.equal((await node.get(whole.id)).body.toString(), CONTENT.toString(), 'the whole file is served');
    t.equal(await status(far.id), 200, 'on the other path too');
    t.equal(await status(torn.id), 404, 'the torn one is not');
    t.strictSame(readdirSync(join(first, 'quarantine')), [torn.name], 'but kept in quarantine');
    t.notOk(existsSync(placeOf(first, deleted.id)), 'the deleted one is removed');
    t.equal(await status(kept), 404, 'the deletion that was under way is done');
    t.equal((await node.delete(lost)).status, signal === 'SIGKILL' ? 404 : 204, 'a row without a file is dropped');
    const verified = await node.command('verify');
    t.equal(verified.status, 0, 'every file has its row and every row its file', verified);
  });
}
