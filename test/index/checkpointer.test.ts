import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { Index } from '../../daemon/index/index.js';
import type { StoredFile } from '../../daemon/store/records.js';
import fileId from '../../file-id/file-id.js';

const BATCH = 50;

function storedFile(number: number): StoredFile {
  const created = 1_795_000_000 + Math.floor(number / 1000);
  const key = fileId.encodeKey({ serverId: 1, created, size: 1000, crc32: number, counter: number });
  const name = `${key.toString('base64url')}417.jpg`;
  const place = { storePath: 0, directory: number % 65536 };
  return {
    id: name,
    key,
    ...place,
    name,
    size: 1000,
    crc32: number,
    sha256: randomBytes(32),
    created,
    accepted: false,
  };
}

// Seen to fail (never copied) without the call of copy() in checkpoint-worker.ts.
t.test('the WAL of the index is copied into it beside the event loop', async (t) => {
  const file = join(t.testdir({}), 'index.db');
  const warnings: unknown[] = [];
  const index = new Index(file, (message, error) => warnings.push(message, error));
  const made = statSync(file).size;
  let number = 0;
  while (number < 5000) {
    const added = Array.from({ length: BATCH }, () => storedFile(number++));
    const second = (added.at(-1) as StoredFile).created + 1;
    index.record({
      added,
      removed: [],
      checkpoint: { second, directory: 0, tombstones: [0], deletions: [], copies: [], batches: [] },
    });
  }
  while (statSync(file).size === made) await setImmediate();
  await index.close();
  t.strictSame(warnings, []);
  const again = new Index(file);
  t.equal(again.totals.files, number);
  t.equal([...again.all()].length, number);
  await again.close();
});

// Seen to fail (an uncaught error) without the worker's 'error' listener.
t.test('a copy that fails is told of, and the index goes on', async (t) => {
  const file = join(t.testdir({}), 'index.db');
  let warn: (message: string) => void = () => {};
  const warned = new Promise<string>((resolve) => {
    warn = resolve;
  });
  const index = new Index(file, (message) => warn(message));
  Reflect.set(Reflect.get(index, 'checkpointer') as object, 'file', '/nowhere/index.db');
  let number = 0;
  const insert = () => {
    const added = Array.from({ length: BATCH }, () => storedFile(number++));
    index.record({
      added,
      removed: [],
      checkpoint: { second: 0, directory: 0, tombstones: [0], deletions: [], copies: [], batches: [] },
    });
  };
  while (number < 5000) insert();
  t.match(await warned, /could not be copied into it; it is tried again later/);
  insert();
  t.equal(index.totals.files, number);
  await index.close();
});
