import { hash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Fetcher, type FetcherParts } from '../../daemon/replication/fetcher.js';
import { NoRoom } from '../../daemon/replication/no-room.js';
import { Copies } from '../../daemon/store/copies.js';
import { open } from '../helpers/faulty-store.js';

const SIZE = 200_000;

function sha256(content: Buffer): Buffer {
  return Buffer.from(hash('sha256', content, 'hex'), 'hex');
}

// Seen to fail (it acknowledges entry 8 and has nothing missing) without `supersedes` in `fetch` of daemon/replication/fetcher.ts.
t.test('a version that was announced while an earlier one was fetched is not acknowledged with that', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const { store, index, paths, copies } = await open(directory, 'batch');
  const received = store.receive(5);
  received.write(Buffer.from('first'));
  const first = await received.finish('log');
  first.isAppender = true;
  const [appender] = await store.add([first]);
  t.ok(appender);
  if (!appender) return;
  const { key, name, storePath, directory: number } = appender;
  const contents = [Buffer.alloc(SIZE, '1'), Buffer.alloc(SIZE + 1, '2')] as const;
  const versionOf = (index: 0 | 1) => ({
    ...{ key, name, storePath, directory: number, size: contents[index].length, sha256: sha256(contents[index]) },
    version: 1_900_000_000_000 + index,
  });
  index.missing.add(versionOf(0), { peer: 1, sequence: 7, reason: 'not fetched yet' });
  let isFirst = true;
  const peer = {
    ...{ id: 1, reachable: true, state: 'up' },
    client: {
      // The recorded bytes of an appender are requested by a range.
      raw: async () => ({ statusCode: 206, body: Readable.from([isFirst ? contents[0] : contents[1]]) }),
    },
  };
  const taking = Object.create(copies) as Copies;
  taking.take = async (takeover) => {
    const taken = Copies.prototype.take.call(copies, takeover);
    // The follower takes the page with the second version meanwhile.
    if (isFirst) {
      const second = () => index.missing.add(versionOf(1), { peer: 1, sequence: 8, reason: 'not fetched yet' });
      await store.writer.commit({ alongside: second });
    }
    await taken;
    isFirst = false;
  };
  const fetched: [sequence: number, version: number | undefined][] = [];
  const parts = {
    settings: { group: 'group1', serverId: 2, peerSecret: 'x' },
    cluster: { group: [peer] },
    ...{ index, paths, copies: taking, limit: { take: async () => {} } },
    noRoom: new NoRoom({ raise: () => {}, clear: () => {} }, index.missing),
    onFetched: ({ sequence }: { sequence: number }) => fetched.push([sequence, index.find(key)?.version]),
    onFailed: (_file: unknown, reason: string) => t.comment(reason),
    onSetAside: () => {},
    warn: (message: string) => t.comment(message),
  };
  const fetcher = new Fetcher(parts as unknown as FetcherParts);
  fetcher.start();
  for (const end = Date.now() + 20_000; fetched.length === 0 && Date.now() < end; ) await sleep(20);
  t.strictSame(fetched, [[8, versionOf(1).version]]);
  t.equal(index.missing.find(key), undefined);
  await fetcher.stop();
  await store.close();
  await index.close();
});
