import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { Index } from '../../daemon/index/index.js';
import { positionOf, type Range } from '../../daemon/index/listing.js';
import { listHere, merge } from '../../daemon/operations/lists.js';
import { keyOf, metadataName, slaveName } from '../../daemon/store/names.js';
import type { StoredFile } from '../../daemon/store/records.js';
import fileId from '../../file-id/file-id.js';

const SECOND = 1_795_000_000;
const SOURCES = [0x000001, 0x000100, 0xffffff];

function open(t: { teardown(run: () => Promise<void>): void }): { index: Index; file: string } {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-list-'));
  const file = join(directory, 'index.db');
  const index = new Index(file);
  t.teardown(async () => {
    await index.close();
    rmSync(directory, { recursive: true });
  });
  return { index, file };
}

function stored(name: string, size: number): StoredFile {
  const location = { id: '', name, storePath: 0, directory: 0 };
  const common = { key: keyOf(name), size, crc32: 7, sha256: Buffer.alloc(32, size), created: 0, accepted: false };
  return { ...location, ...common, version: name.length === 34 ? undefined : 0 };
}

function named(serverId: number, created: number, counter: number, ext = 'jpg'): string {
  const key = fileId.encodeKey({ serverId, created, size: 5, crc32: 7, counter });
  return key.toString('base64url') + fileId.makeTail(ext, counter);
}

function record(index: Index, files: StoredFile[]): void {
  index.record({ added: files, removed: [], checkpoint: index.checkpoint });
}

/** All IDs of a list, page by page. */
function walk(index: Index, query: Range & { limit: number; ext?: string }): string[] {
  const ids: string[] = [];
  let { after } = query;
  for (let pages = 0; pages < 10_000; pages++) {
    const page = listHere({ ...query, after }, { index, settings: { group: 'group1' } as never });
    ids.push(...page.files.map(({ id }) => id.split('/')[4] as string));
    if (page.end === null) return ids;
    after = Buffer.from(page.end, 'hex');
  }
  throw new Error('the pages do not end');
}

// Seen to fail with each mutation of daemon/index/listing.ts and daemon/operations/lists.ts in test/mutations/lists.mjs.
t.test('pages of every size have the files of all sources in their order, each once', async (t) => {
  const { index } = open(t);
  const files: StoredFile[] = [];
  for (let second = 0; second < 40; second++) {
    for (const source of SOURCES) {
      for (let counter = 0; counter <= second % 9; counter++)
        files.push(stored(named(source, SECOND + second, counter), 5));
    }
  }
  const [first] = files as [StoredFile];
  files.push(stored(slaveName(first.name, '_150', 'jpg'), 9), stored(metadataName(first.name), 3));
  const gone = stored(named(0x000100, SECOND + 3, 77), 5);
  record(index, files);
  index.markMissing(gone);
  const expected = [...files.filter(({ name }) => !name.endsWith('-m')), gone]
    .sort((one, other) => positionOf(one.key).compare(positionOf(other.key)))
    .map(({ name }) => name);
  for (const limit of [1, 2, 7, 128, 129, 1000]) {
    t.strictSame(walk(index, { order: 'oldest', limit }), expected, `oldest first, ${limit}`);
    t.strictSame(walk(index, { order: 'newest', limit }), expected.toReversed(), `newest first, ${limit}`);
  }
  const secondOf = (name: string) => keyOf(name).readUInt32BE(4);
  for (const [from, to] of [
    [SECOND, SECOND + 1],
    [SECOND + 5, SECOND + 6],
    [SECOND + 39, 2 ** 32],
    [0, SECOND],
    [2 ** 32, 2 ** 32],
    [SECOND + 9, SECOND + 9],
  ] as const) {
    const within = expected.filter((name) => secondOf(name) >= from && secondOf(name) < to);
    t.strictSame(walk(index, { order: 'oldest', limit: 3, from, to }), within, `${from} to ${to}`);
    t.strictSame(walk(index, { order: 'newest', limit: 3, from, to }), within.toReversed());
  }
});

t.test('a page of few extensions ends early, and the next one goes on there', async (t) => {
  const { index } = open(t);
  const files = Array.from({ length: 12_000 }, (_, number) =>
    stored(named(1, SECOND + number, 0, number % 6000 === 10 ? 'png' : 'jpg'), 5),
  );
  record(index, files);
  const query = { order: 'oldest', limit: 100, ext: 'png' } as const;
  const page = listHere(query, { index, settings: { group: 'group1' } as never });
  t.equal(page.files.length, 1);
  t.ok(page.end, 'not everything was looked at');
  t.equal(walk(index, query).length, 2);
  t.strictSame(walk(index, { ...query, ext: 'gif' }), []);
});

t.test('no statement of a list scans a table', async (t) => {
  const { index, file } = open(t);
  record(index, [stored(named(1, SECOND, 0), 5)]);
  const database = new Database(file, { readonly: true });
  for (const table of ['file', 'missing']) {
    for (const order of ['ASC', 'DESC']) {
      const plan = database
        .prepare<[Buffer, Buffer], { detail: string }>(
          `EXPLAIN QUERY PLAN SELECT key, place, tail, sha256, size, version FROM ${table}
           WHERE key > ? AND key < ? ORDER BY key ${order} LIMIT 128`,
        )
        .all(Buffer.alloc(4), Buffer.alloc(4));
      t.strictSame(
        plan.map(({ detail }) => detail),
        [`SEARCH ${table} USING PRIMARY KEY (key>? AND key<?)`],
      );
    }
  }
  database.close();
});

t.test('pages of groups are merged as far as all of them have looked', async (t) => {
  const file = (second: number) => ({
    ...{ id: `group1/M00/00/00/${named(1, second, 0)}`, kind: 'normal', size: 5, created: '' },
    ...{ sha256: '', crc32: null, ext: '', source: 1 },
  });
  const place = (second: number) => positionOf(keyOf(named(1, second, 0))).toString('hex');
  const one = { files: [file(1), file(4)], end: place(4) };
  const other = { files: [file(2), file(3), file(5)], end: null };
  const oldest = (limit: number) => {
    const { files, end } = merge([one, other], { order: 'oldest', limit });
    return [files.map(({ id }) => keyOf(id.split('/')[4] as string).readUInt32BE(4)), end];
  };
  t.strictSame(oldest(10), [[1, 2, 3, 4], place(4)], 'what follows may be in the first group');
  t.strictSame(oldest(4), [[1, 2, 3, 4], place(4)]);
  t.strictSame(oldest(3), [[1, 2, 3], place(3)]);
  t.strictSame(merge([other, other], { order: 'newest', limit: 100 }).end, null);
  const early = { files: [], end: place(2) };
  t.strictSame(merge([early, other], { order: 'oldest', limit: 9 }).files.length, 1);
  t.strictSame(merge([early, other], { order: 'newest', limit: 9 }).files.length, 3);
});
