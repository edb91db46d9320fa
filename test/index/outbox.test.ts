import { hash } from 'node:crypto';
import { join } from 'node:path';
import t from 'tap';
import { Index } from '../../daemon/index/index.js';
import { keyOf, metadataName } from '../../daemon/store/names.js';
import type { StoredFile } from '../../daemon/store/records.js';
import fileId from '../../file-id/file-id.js';

const EPOCH = '0123456789ab-0011223344556677';

/** An upload; files of different numbers have different names. */
function file(number: number, fields: Partial<StoredFile> = {}): StoredFile {
  const key = fileId.encodeKey({ serverId: 3, created: 1_795_000_000, size: 1000, crc32: 7, counter: number });
  const name = `${key.toString('base64url')}417.jpg`;
  const sha256 = Buffer.from(hash('sha256', name), 'hex');
  const place = { id: fileId.join('group1', 1, 2, name), key, storePath: 1, directory: 2, name };
  return { ...place, size: 1000, crc32: 7, sha256, created: 1_795_000_000, accepted: true, ...fields };
}

function record(index: Index, added: StoredFile[], removed: StoredFile[] = []): void {
  const deletions = removed.map((one) => ({ ...one, foreign: false }));
  index.record({ added, removed: deletions, checkpoint: index.checkpoint });
}

t.test('the outbox', async (t) => {
  const path = join(t.testdir({}), 'index.db');
  let index = new Index(path);
  index.outbox.begin(EPOCH, true);
  const read = () => index.outbox.read(100).entries.map(({ number, isDeletion, name }) => [number, isDeletion, name]);
  const [one, two, three, four] = [file(1), file(2), file(3), file(4)];

  // Seen to fail with `this.last` in place of `published` in read().
  t.test('has nothing that is not durable', async (t) => {
    record(index, [one]);
    t.strictSame(read(), []);
    let calls = 0;
    index.outbox.onPublish(() => calls++);
    index.publish();
    t.strictSame(read(), [[1, false, one.name]]);
    t.equal(calls, 1);
    t.equal(index.outbox.waiting, 1);
  });

  // Seen to fail without the conditions in `select`.
  t.test('leaves out an upload that was withdrawn, and not one that was deleted', async (t) => {
    record(index, [two, three]);
    index.withdraw([two]);
    record(index, [], [one]);
    index.publish();
    t.strictSame(read(), [
      [1, false, one.name],
      [3, false, three.name],
      [4, true, one.name],
    ]);
    t.match(index.outbox.read(100), {
      upTo: 4,
      entries: [{}, {}, { size: 1000, sha256: one.sha256, epoch: 0x0123456789ab }],
    });
    t.equal(index.outbox.read(1).upTo, 1, 'a page ends with its last entry');
  });

  // Seen to fail without rollBackTo() in batch-writer.ts: a number is left out.
  t.test('gives no number to a batch that failed', async (t) => {
    t.throws(() => record(index, [four, three]));
    record(index, [four]);
    index.publish();
    t.equal(read().at(-1)?.[0], 5);
  });

  // Seen to fail without the conditions in addStored() and addDeleted(), and without those on `accepted` in batch-writer.ts.
  t.test('has no copies of peers, no adopted files and no metadata', async (t) => {
    const name = metadataName(four.name);
    const metadata = { ...file(9), name, key: keyOf(name), version: 1 };
    record(index, [file(6, { accepted: false }), file(7, { existed: true }), metadata]);
    record(index, [], [metadata, file(6, { accepted: false })]);
    index.publish();
    t.equal(index.outbox.read(100).upTo, 5);
  });

  // Seen to fail without acknowledge() in read's `after`, and with `deleteAcknowledged` that deletes one more.
  t.test('keeps what was not acknowledged over a restart, and its numbers', async (t) => {
    index.outbox.acknowledge(3);
    t.equal(read().length, 2);
    index.outbox.deleteAcknowledged();
    await index.close();
    index = new Index(path);
    index.outbox.begin(EPOCH, true);
    t.strictSame(
      read().map(([number]) => number),
      [4, 5],
    );
    index.outbox.acknowledge(5);
    index.outbox.deleteAcknowledged();
    await index.close();
    index = new Index(path);
    index.outbox.begin(EPOCH, true);
    t.equal(index.outbox.last, 5, 'also when all are deleted');
  });

  // Seen to fail with `limit + 1`.
  t.test('drops the oldest beyond a limit', async (t) => {
    record(
      index,
      [11, 12, 13, 14].map((number) => file(number)),
    );
    index.publish();
    t.equal(index.outbox.dropBeyond(4), 0);
    t.equal(index.outbox.dropBeyond(3), 1);
    t.strictSame(
      read().map(([number]) => number),
      [7, 8, 9],
    );
  });

  t.test('is emptied at a start without events', async (t) => {
    await index.close();
    index = new Index(path);
    t.equal(index.outbox.begin(EPOCH, false), 4);
    record(index, [file(20)]);
    index.publish();
    t.equal(index.outbox.waiting, 0);
  });

  t.teardown(() => index.close());
});
