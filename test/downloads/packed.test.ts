import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import fileId from '../../file-id/file-id.js';
import { makeFastdfsStore } from '../helpers/fastdfs-store.js';
import { TestNode } from '../helpers/node.js';

async function makeNode(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const store = makeFastdfsStore(directory);
  const node = await TestNode.create(t, { directory, env: { FIDFS_STORE_PATHS: store.roots.join(',') } });
  return { store, node };
}

t.test('packed files of FastDFS are served from the trunk file', async (t) => {
  const { store, node } = await makeNode(t);
  await node.start();
  const trunkFile = store.pathOf('group1/M00/00/00/000001');
  const before = readFileSync(trunkFile);

  // Seen to fail without the location @fidfs_packed.
  t.test('each comes byte for byte, and so do those that a link leads to', async (t) => {
    const wrong: unknown[] = [];
    for (const [id, content] of store.packed) {
      const { status, headers, body } = await node.get(id);
      if (status !== 200 || !body.equals(content) || headers['content-length'] !== String(content.length))
        wrong.push({ id, status, length: body.length });
    }
    t.strictSame(wrong, []);
    t.equal(store.packed.size, 15);
  });

  // Seen to fail without proxy_force_ranges, without statusFor, and without the content type.
  t.test('headers, ranges and conditions are those of a plain file', async (t) => {
    const [id, content] = [...store.packed].find(([name, bytes]) => bytes.length === 1000 && /txt$/.test(name)) as [
      string,
      Buffer,
    ];
    const { created } = fileId.decode(id);
    const date = new Date(created * 1000).toUTCString();
    const etag = '"386d4380-3e8"';
    const { headers } = await node.get(id);
    t.match(headers, {
      etag,
      'last-modified': date,
      'content-type': /^text\/plain/,
      'cache-control': 'public, max-age=31536000, immutable',
      'x-content-type-options': 'nosniff',
    });
    const part = await node.get(id, { range: 'bytes=10-19' });
    t.equal(part.status, 206);
    t.equal(part.headers['content-range'], 'bytes 10-19/1000');
    t.ok(part.body.equals(content.subarray(10, 20)));
    t.equal((await node.get(id, { range: 'bytes=10-19', 'if-range': '"x"' })).status, 200);
    t.equal((await node.get(id, { range: 'bytes=10-19', 'if-range': etag })).status, 206);
    t.equal((await node.get(id, { range: 'bytes=1000-' })).status, 416);
    t.equal((await node.get(id, { 'if-none-match': etag })).status, 304);
    t.equal((await node.get(id, { 'if-modified-since': date })).status, 304);
    t.equal((await node.get(id, { 'if-modified-since': 'Thu, 01 Jan 1970 00:00:00 GMT' })).status, 200);
    t.equal((await node.get(id, { 'if-match': '"x"' })).status, 412);
    const head = await node.request(`/${id}`, { method: 'HEAD' });
    t.match(head, { status: 200, headers: { 'content-length': '1000', etag } });
    const saved = await node.get(`${id}?download=a.txt`);
    t.match(saved.headers['content-disposition'], /^attachment; filename="a.txt"/);
  });

  // Seen to fail with the comparison of the type alone.
  t.test('a slot whose header is not that of the ID is 404: freed, or given to another file', async (t) => {
    for (const id of store.freed) t.equal((await node.get(id)).status, 404);
    const [id] = [...store.packed].find(([, bytes]) => bytes.length === 232) as [string, Buffer];
    const { trunk } = fileId.decode(id);
    const changed = Buffer.from(before);
    changed.writeUInt8(0x39, (trunk?.offset ?? 0) + 17); // the first character of the tail
    writeFileSync(trunkFile, changed);
    t.equal((await node.get(id)).status, 404);
    writeFileSync(trunkFile, before);
    t.equal((await node.get(id)).status, 200);
  });

  // Seen to fail with the target taken for a path below data/.
  t.test('a link leads to files with IDs only, and not in circles', async (t) => {
    // Its slot has room for its own name.
    const [, link = ''] = store.links;
    const { trunk, size } = fileId.decode(link);
    for (const target of ['M00/../../logs/storaged.log', '../../../../etc/passwd', link.slice('group1/'.length)]) {
      const file = openSync(trunkFile, 'r+');
      writeSync(file, target.padEnd(size ?? 0, '\0').slice(0, size ?? 0), (trunk?.offset ?? 0) + 24, 'latin1');
      closeSync(file);
      t.equal((await node.get(link)).status, 404, target);
    }
    writeFileSync(trunkFile, before);
  });

  // Seen to fail with `foreign` for trunk names, too, and (stays deleted) without `isDeleted` in the route.
  t.test('a deleted one is gone for good, and its slot is left alone', async (t) => {
    const ids = [...store.packed.keys()].slice(0, 2) as [string, string];
    const [id] = ids;
    t.equal((await node.delete(id)).status, 204);
    t.equal((await node.get(id)).status, 404);
    t.equal((await node.delete(id)).status, 404, 'deleted already');
    await node.killDaemon();
    t.equal((await node.get(id)).status, 404);
    t.equal((await node.get(ids[1])).status, 200);
    t.ok(readFileSync(trunkFile).equals(before));
    await node.stop();
    t.equal((await node.command('rebuild')).status, 0);
    await node.start();
    t.equal((await node.get(id)).status, 404, 'after rebuild');
  });

  t.test('without the daemon they are 503, not 404', async (t) => {
    const id = [...store.packed.keys()].at(-1) ?? '';
    process.kill(node.daemonPid(), 'SIGSTOP');
    const pid = node.daemonPid();
    t.teardown(() => process.kill(pid, 'SIGCONT'));
    t.equal((await node.get(id)).status, 503);
  });
});
