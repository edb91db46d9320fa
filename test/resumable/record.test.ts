import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Index } from '../../daemon/index/index.js';
import type { ReceivedFile } from '../../daemon/store/incoming-file.js';
import { ResumableUploads } from '../../daemon/store/resumable.js';
import type { ResumableRecords } from '../../daemon/store/resumable-records.js';
import { Store } from '../../daemon/store/store.js';
import { StorePath } from '../../daemon/store/store-path.js';

// Seen to fail (two files) without `unrecorded` in ResumableUploads.
t.test('an upload whose file was made and could not be recorded has one file after the next try', async (t) => {
  const directory = t.testdir({});
  mkdirSync(join(directory, 'data'));
  const index = new Index(join(directory, 'data/index.db'));
  const path = new StorePath(0, join(directory, 'path'), { bytes: 0 });
  path.open(undefined);
  const settings = { group: 'group1', serverId: 1, sync: 'batch' as const, deduplicate: false };
  const store = new Store(settings, [path], index, () => {});
  t.teardown(async () => {
    await store.close();
    await index.close();
  });
  const failures = [new Error('the disk of the index is full')];
  const records: ResumableRecords = {
    find: (id) => index.resumable.find(id),
    save: (upload) => {
      const failure = upload.file === null ? undefined : failures.pop();
      if (failure) throw failure;
      index.resumable.save(upload);
    },
    remove: (id) => index.resumable.remove(id),
    untouchedSince: (time, limit) => index.resumable.untouchedSince(time, limit),
  };
  const kept: string[] = [];
  const keep = async (received: ReceivedFile) => {
    const [file] = await store.add([received]);
    kept.push(file?.id as string);
    return file?.id as string;
  };
  const uploads = new ResumableUploads(store, records, keep, true, () => {});
  await uploads.create({ id: 'one', size: 5, extension: 'txt', metadata: '' });
  const piece = {
    isWhole: false,
    receive: async (sink: { write(chunk: Uint8Array): unknown }) => void (await sink.write(Buffer.from('hello'))),
  };
  await t.rejects(uploads.append('one', piece), /the disk of the index is full/);
  t.equal((await uploads.look('one')).file, kept[0], 'the next HEAD has its ID');
  t.equal((await uploads.look('one')).file, kept[0]);
  t.equal(kept.length, 1);
  t.equal(index.totals.files, 1);
});
