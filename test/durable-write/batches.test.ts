import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { Index } from '../../daemon/index/index.js';
import { type Calls, realCalls } from '../../daemon/store/calls.js';
import type { FileChange } from '../../daemon/store/change.js';
import type { SyncMode } from '../../daemon/store/file-system.js';
import { filePath } from '../../daemon/store/layout.js';
import { Store } from '../../daemon/store/store.js';
import { StorePath } from '../../daemon/store/store-path.js';
import fileId from '../../file-id/file-id.js';

function openStore(t: Test, changed: Partial<Calls> = {}, sync: SyncMode = 'batch') {
  const directory = t.testdir({ data: {} });
  const calls = { ...realCalls, ...changed };
  const index = new Index(join(directory, 'data/index.db'));
  index.replicationLog.enabled = true;
  const path = new StorePath(0, join(directory, 'path'), { bytes: 0 }, calls);
  path.open(undefined);
  const warnings: string[] = [];
  const settings = { group: 'group1', serverId: 1, sync, deduplicate: false };
  const store = new Store(settings, [path], index, (message) => warnings.push(message), undefined, calls);
  t.teardown(async () => {
    await store.close().catch(() => {}); // rejects if its syncs fail
    await index.close();
  });
  return { index, path, store, warnings };
}

async function upload(store: Store, text: string): Promise<string> {
  const file = store.receive(undefined);
  await file.write(Buffer.from(text));
  const received = await file.finish('txt');
  const [stored] = await store.add([received]).finally(() => received.release());
  return stored?.id as string;
}

const boom = (): never => {
  throw new Error('boom');
};

for (const [phase, change] of Object.entries({
  write: { write: boom },
  undo: { write: boom, undo: boom },
  alongside: { alongside: boom },
  finish: { finish: boom },
}) as [string, FileChange][]) {
  // Each seen to fail by `npm run mutate`, as all promises of this file.
  t.test(`a change whose ${phase}() throws fails alone, and the writer goes on`, async (t) => {
    const { store, index } = openStore(t);
    const odd = store.writer.commit(change);
    const others = Array.from({ length: 5 }, (_, number) => upload(store, `beside it ${number}`));
    await t.rejects(odd, /boom/);
    for (const id of await Promise.all(others)) t.ok(index.find(fileId.keyOf(fileId.decode(id).name)), 'recorded');
    t.ok(await upload(store, 'after it'), 'the next batch');
  });
}

t.test('somebody who waits for news of the log and throws harms nobody', async (t) => {
  const { store, index, warnings } = openStore(t);
  let told = 0;
  index.replicationLog.onPublish(boom);
  index.replicationLog.onPublish(() => told++);
  t.ok(await upload(store, 'news'));
  t.equal(told, 1, 'the others are told');
  t.match(warnings, [/peers could not be told/]);
});

// Seen to fail with `foreign` for files without a record in Deletions, and without `isThere` in BatchCommit (metadata).
t.test('a deleted foreign file leaves a tombstone, takes its metadata along, and is told to the peers', async (t) => {
  const { store, index, path } = openStore(t);
  const id = fileId.decode('group1/M00/00/03/wKgAZ2XQAAAAAAAAAAAD6HTj-0E417.txt');
  const place = filePath(path.root, id.directory, id.name);
  mkdirSync(dirname(place), { recursive: true });
  writeFileSync(place, 'foreign');
  writeFileSync(`${place}-m`, 'metadata');
  t.ok(await store.remove(id));
  t.notOk(existsSync(place));
  t.notOk(existsSync(`${place}-m`));
  t.ok(store.isDeleted(id));
  t.equal(path.tombstones.count, 2);
  const told = index.replicationLog.read(0, 10).map(({ removed }) => removed?.name);
  t.strictSame(told.sort(), [id.name, `${id.name}-m`]);
});

t.test('a deleted file that could not be removed is named by each checkpoint until it could', async (t) => {
  let isBroken = true;
  const { store, index, path } = openStore(t, {
    removeSync: (file) => {
      if (isBroken) throw Object.assign(new Error('EPERM'), { code: 'EPERM' });
      realCalls.removeSync(file);
    },
  });
  const file = fileId.decode(await upload(store, 'to be removed'));
  const place = filePath(path.root, file.directory, file.name);
  await t.rejects(store.remove(file), { name: 'StoreError' });
  const named = () => index.checkpoint.deletions.filter(({ name }) => name === file.name).length;
  for (let number = 0; number < 3; number++) {
    await upload(store, `meanwhile ${number}`);
    t.equal(named(), 1, 'named once');
  }
  isBroken = false;
  store.writer.removeLeftovers();
  t.notOk(existsSync(place), 'removed');
  await upload(store, 'covered by its sync');
  t.equal(named(), 1, 'named until a sync has covered it');
  await upload(store, 'after it');
  t.equal(named(), 0, 'and then no more');
});

/** A store with `sync: file` whose next sync fails once, because a file cannot be opened. */
function failingOnce(t: Test) {
  const state = { isFailing: false };
  const openSync = (file: string, flags: string, mode?: number) => {
    if (!state.isFailing || flags !== 'r') return realCalls.openSync(file, flags, mode);
    state.isFailing = false;
    throw Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
  };
  return { ...openStore(t, { openSync }, 'file'), state };
}

t.test('a deletion whose sync fails is an error, and is named by the checkpoint until it is finished', async (t) => {
  const { store, index, path, state } = failingOnce(t);
  const id = fileId.decode(await upload(store, 'to be deleted'));
  state.isFailing = true;
  await t.rejects(Promise.all([store.remove(id), upload(store, 'with it')]), { name: 'StoreError' });
  await upload(store, 'after it');
  t.match(
    index.checkpoint.deletions.filter(({ name }) => name === id.name),
    { length: 1 },
  );
  store.writer.removeLeftovers();
  t.notOk(existsSync(filePath(path.root, id.directory, id.name)), 'finished');
  t.equal(index.totals.files, 1, 'what came with it is not here');
});

t.test('an unlink that a failed sync left uncovered is named by the next checkpoint, too', async (t) => {
  const { store, index, state } = failingOnce(t);
  const id = fileId.decode(await upload(store, 'to be deleted'));
  await store.remove(id);
  state.isFailing = true;
  await t.rejects(upload(store, 'whose sync would cover it'), { name: 'StoreError' });
  await upload(store, 'after it');
  t.match(
    index.checkpoint.deletions.filter(({ name }) => name === id.name),
    { length: 1 },
  );
});

t.test('after a failed sync nothing more is written', async (t) => {
  const { store } = openStore(t, { syncfs: () => Promise.reject(new Error('EIO')) });
  await t.rejects(upload(store, 'first'), { code: 'unavailable' });
  await t.rejects(upload(store, 'second'), { code: 'unavailable' });
});

t.test('a deletion that could not be recorded leaves no tombstone, one that was recorded leaves one', async (t) => {
  const { store, index, path } = openStore(t);
  const id = fileId.decode(await upload(store, 'stays'));
  const key = fileId.keyOf(id.name);
  const removed = [{ ...id, key, size: 5, foreign: false, accepted: true }];
  await t.rejects(store.writer.commit({ removed, alongside: boom }), /boom/);
  t.equal(path.tombstones.count, 0);
  t.ok(index.find(key), 'it is here');
  t.strictSame(index.checkpoint.deletions, []);
  await store.remove(id);
  t.strictSame([...path.tombstones.read()], [key]);
});

t.test('a large file is flushed before it gets its name', async (t) => {
  const done: string[] = [];
  const { store } = openStore(t, {
    fdatasync: async (descriptor) => {
      await realCalls.fdatasync(descriptor);
      done.push('flushed');
    },
    linkSync: (existing, target) => {
      realCalls.linkSync(existing, target);
      done.push('named');
    },
  });
  await upload(store, 'x'.repeat(600 * 1024));
  t.strictSame(done, ['flushed', 'named']);
});
