import { join } from 'node:path';
import t from 'tap';
import { Index } from '../../daemon/index/index.js';
import { restoreTombstones } from '../../daemon/store/reconcile.js';
import { Tombstones } from '../../daemon/store/tombstones.js';
import fileId from '../../file-id/file-id.js';

// Seen to fail (one read of the path) with all keys in one Set, (some lost) with one page only, and (some twice) with a page
// that is not compared.
t.test('however many deletions there are, a path gets those that it lacks, with few of them in memory', async (t) => {
  const directory = t.testdir({});
  const index = new Index(join(directory, 'index.db'));
  t.teardown(() => index.close());
  const keys = Array.from({ length: 100 }, (_, number) =>
    fileId.encodeKey({ serverId: 1, created: 0x6afd_0000 + number, size: 1, crc32: number, counter: 1 }),
  );
  const removed = keys.map((key) => {
    return { ...{ key, storePath: 0, directory: 0, name: '' }, ...{ size: 1, foreign: false, accepted: false } };
  });
  index.record({ added: [], removed, checkpoint: index.checkpoint });
  const file = Tombstones.open(join(directory, 'tombstones'));
  t.teardown(() => file.close());
  const had = keys.filter((_, number) => number % 3 === 0).reverse();
  file.append(had);
  let reads = 0;
  const tombstones = {
    read: () => {
      reads++;
      return file.read();
    },
    append: (some: readonly Uint8Array[]) => file.append(some),
  };
  restoreTombstones({ tombstones }, index, 8);
  const hexadecimal = (some: Iterable<Buffer>) => [...some].map((key) => key.toString('hex'));
  t.strictSame(hexadecimal(file.read()).sort(), hexadecimal(keys).sort(), 'each once');
  t.strictSame(hexadecimal(file.read()).slice(0, had.length), hexadecimal(had), 'after those that were there');
  t.equal(reads, Math.ceil(keys.length / 8), 'a page at a time');
});
