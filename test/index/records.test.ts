import { hash } from 'node:crypto';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Index } from '../../daemon/index/index.js';
import { keyOf, metadataName } from '../../daemon/store/names.js';
import { type StoredFile, supersedes } from '../../daemon/store/records.js';
import fileId from '../../file-id/file-id.js';

const KEY = fileId.encodeKey({ serverId: 3, created: 1_795_000_000, size: 1000, crc32: 7, counter: 9 });
const MASTER = `${KEY.toString('base64url')}417.jpg`;
const SLAVE = `${KEY.toString('base64url')}417_150x150.jpg`;
const TRUNK = 'rBUCAGsCnaqIAAAAAAAEAABzzXYAAAAAQAAAAAAEYQ00017.txt';

function stored(name: string, fields: Partial<StoredFile> = {}): StoredFile {
  const id = fileId.join('group1', 1, 0x1f2b, name);
  const place = { id, key: keyOf(name), storePath: 1, directory: 0x1f2b, name };
  const content = { size: 70_000, crc32: 0, sha256: Buffer.from(hash('sha256', name), 'hex') };
  return { ...place, ...content, created: 1_795_000_000, accepted: true, ...fields };
}

function openIndex(t: Test): Index {
  const index = new Index(join(t.testdir({}), 'index.db'));
  t.teardown(() => index.close());
  return index;
}

function add(index: Index, ...added: StoredFile[]): void {
  index.record({ added, removed: [], checkpoint: index.checkpoint });
}

// Seen to fail with the 20 bytes as the key of every name, and with all of the digest in place of its last 12 bytes.
t.test('a slave and the metadata of a file have keys of their own, beside that of the file', async (t) => {
  t.ok(keyOf(MASTER).equals(KEY));
  const keys = [MASTER, SLAVE, metadataName(MASTER), metadataName(SLAVE), `${SLAVE}x`].map(keyOf);
  t.equal(new Set(keys.map((key) => key.toString('hex'))).size, keys.length);
  for (const key of keys) {
    t.ok(key.subarray(0, 8).equals(KEY.subarray(0, 8)), 'the same source and second');
    t.equal(fileId.decodeName(`${key.toString('base64url')}0000000`).kind, 'normal', 'earlier versions can decode it');
  }
  t.equal(
    keyOf(`${SLAVE.slice(0, 32)}-m`).equals(keyOf(MASTER)),
    false,
    'metadata whose name is as long as a normal one',
  );
  for (const tail of ['417_big', '41_s.gz', '4-1.jpg'])
    t.notOk(keyOf(MASTER.slice(0, 27) + tail).equals(KEY), `a slave whose name is as long as a normal one: ${tail}`);
});

// Seen to fail without the name in `tail`, and without the column `size`.
t.test('the index returns every kind of file as it was recorded', async (t) => {
  const index = openIndex(t);
  const files = [
    stored(MASTER, { size: 1000 }),
    stored(SLAVE, { version: 0 }),
    stored(metadataName(MASTER), { size: 0, version: 1_795_329_672_123 }),
    stored(TRUNK, { size: 1024 }),
  ];
  add(index, ...files);
  const fieldsOf = ({ key, name, storePath, directory, size, sha256, version }: StoredFile) => {
    return { key, name, storePath, directory, size, sha256, version };
  };
  for (const file of files) t.strictSame(index.find(file.key), fieldsOf(file), file.name);
  t.strictSame(index.totals, { files: 4, bytes: 1000 + 70_000 + 1024, saved: 0 });
  for (const file of files) index.missing.add(fieldsOf(file));
  for (const file of files) t.match(index.missing.find(file.key), fieldsOf(file), file.name);
  index.replicationLog.enabled = true;
  const another = stored(`${SLAVE}1`, { version: 0 });
  add(index, another);
  index.publish();
  t.match(index.replicationLog.read(0, 9), [{ added: fieldsOf(another) }]);
  const removed = files.map((file) => ({ ...file, foreign: false, accepted: true }));
  index.record({ added: [], removed, checkpoint: index.checkpoint });
  t.strictSame(index.totals, { files: 1, bytes: 70_000, saved: 0 });
  t.ok(index.isDeleted(keyOf(SLAVE)));
});

// Seen to fail without isReplacement() in batch-writer.ts, and with the SHA-256 not compared, or compared with >=, in supersedes().
t.test('a later version replaces a record, an earlier one does not, and totals stay right', async (t) => {
  const index = openIndex(t);
  const name = metadataName(MASTER);
  const at = (version: number, size: number, fill: number, accepted = false) =>
    stored(name, { version, size, sha256: Buffer.alloc(32, fill), accepted });
  add(index, at(1000, 10, 1, true));
  add(index, at(2000, 20, 2, true));
  t.match(index.find(keyOf(name)), { version: 2000, size: 20 });
  add(index, at(1500, 15, 9));
  t.match(index.find(keyOf(name)), { version: 2000, size: 20 });
  add(index, at(2000, 30, 1));
  t.match(index.find(keyOf(name)), { size: 20 }, 'of the same version the smaller SHA-256 loses');
  add(index, at(2000, 40, 3));
  t.match(index.find(keyOf(name)), { size: 40 });
  const last = at(2000, 40, 3);
  t.notOk(supersedes(last, last), 'a file that has been copied is not copied again');
  t.strictSame(index.totals, { files: 1, bytes: 40, saved: 0 });
  t.strictSame(index.findByContent(Buffer.alloc(32, 3)), [], 'and no upload becomes a link to it');
  index.missing.add(at(3000, 50, 1));
  index.missing.add(at(2500, 60, 1));
  t.match(index.missing.find(keyOf(name)), { version: 3000, size: 50 });
  index.missing.add(at(3500, 70, 1));
  t.match(index.missing.find(keyOf(name)), { version: 3500, size: 70 });
});

// Seen to fail (UNIQUE constraint) without `existed` in write() of batch-writer.ts.
t.test('an adopted file that a peer has copied to this node meanwhile keeps its record', async (t) => {
  const index = openIndex(t);
  add(index, stored(MASTER, { size: 1000, accepted: false }));
  add(index, stored(MASTER, { size: 1000, existed: true }));
  add(index, stored(TRUNK, { existed: true }), stored(TRUNK, { accepted: false }));
  t.strictSame(index.totals, { files: 2, bytes: 71_000, saved: 0 });
});

// Seen to fail without the state in add() of part-digests.ts.
t.test('digests differ when the contents of one name differ', async (t) => {
  const digestsOf = async (fill: number, digests: number) => {
    const index = openIndex(t);
    add(index, stored(MASTER, { size: 1000 }));
    add(index, stored(SLAVE, { version: 0, sha256: Buffer.alloc(32, fill) }));
    return (await index.digests({ scope: 'all', digests })).files;
  };
  t.notSame(await digestsOf(1, 3), await digestsOf(2, 3));
  t.same(await digestsOf(1, 3), await digestsOf(1, 3));
  t.same(await digestsOf(1, 2), await digestsOf(2, 2), 'a peer of an earlier version compares the keys alone');
});
