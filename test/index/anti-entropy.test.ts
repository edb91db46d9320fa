import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Peer } from '../../daemon/cluster/peer.js';
import { PeerClient } from '../../daemon/cluster/peer-client.js';
import { Index } from '../../daemon/index/index.js';
import { AntiEntropy, type AntiEntropyParts } from '../../daemon/replication/anti-entropy.js';
import { PAGE_TOMBSTONES } from '../../daemon/replication/page.js';
import { RateLimit } from '../../daemon/replication/rate-limit.js';
import { Copies } from '../../daemon/store/copies.js';
import { Store } from '../../daemon/store/store.js';
import { StorePath } from '../../daemon/store/store-path.js';
import fileId from '../../file-id/file-id.js';

const DAY = 0x6afd_0000;

/** Keys of one part of the tombstones, in order. */
function keys(count: number, serverId = 1): Buffer[] {
  return Array.from({ length: count }, (_, number) =>
    fileId.encodeKey({ serverId, created: DAY + (number % 60_000), size: 1, crc32: number, counter: 1 }),
  );
}

function indexWith(t: Test, file: string, deleted: readonly Buffer[]): Index {
  const index = new Index(file);
  t.teardown(() => index.close());
  const removed = deleted.map((key) => ({
    key,
    storePath: 0,
    directory: 0,
    name: '',
    size: 1,
    foreign: false,
    accepted: false,
  }));
  index.record({ added: [], removed, checkpoint: index.checkpoint });
  return index;
}

/** Anti-entropy of a node without tombstones. */
function comparer(t: Test, directory: string) {
  const index = new Index(join(directory, 'index.db'));
  const path = new StorePath(0, join(directory, 'path'), { bytes: 0 });
  path.open(undefined);
  const settings = { group: 'group1', serverId: 9, sync: 'off', deduplicate: false } as const;
  const store = new Store(settings, [path], index, (message) => t.fail(message));
  t.teardown(async () => {
    await store.close();
    await index.close();
  });
  const copies = new Copies(settings, store, index);
  const unneeded = {} as AntiEntropyParts['fetcher'];
  const limit = new RateLimit(Number.POSITIVE_INFINITY);
  const paths = [path];
  const antiEntropy = new AntiEntropy({
    group: 'group1',
    index,
    paths,
    copies,
    fetcher: unneeded,
    limit,
    alarms: { raise: (_kind, _subject, detail) => t.fail(detail), clear: () => {} },
    info: () => {},
  });
  return { index, path, antiEntropy };
}

/** A peer that serves the tombstones of an index; without `pages` all in one response, like an earlier version. */
async function startPeer(t: Test, id: number, index: Index, { pages = true, onPage = (_after: string) => {} } = {}) {
  const asked: { after: string; answered: number }[] = [];
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://peer');
    if (pathname.endsWith('/inventory')) {
      const { tombstones } = await index.digests({ scope: 'tombstones', digests: 1 });
      response.end(Buffer.concat([Buffer.alloc(4), tombstones]));
      return;
    }
    const after = searchParams.get('after') ?? 'not said';
    onPage(after);
    const limit = pages ? PAGE_TOMBSTONES : undefined;
    const from = pages ? Buffer.from(after, 'hex') : undefined;
    const found = index.tombstonesOf(Number(searchParams.get('part')), from, limit);
    asked.push({ after, answered: found.length });
    response.end(Buffer.concat(found));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new PeerClient({ id, group: 'group1', url }, 9, 'secret');
  t.teardown(async () => {
    await client.close();
    server.close();
  });
  return { peer: new Peer({ id, group: 'group1', url }, client), asked };
}

const never = new AbortController().signal;

t.test('deletions of a peer', async (t) => {
  const directory = t.testdir({ theirs: {}, paged: {}, whole: {}, exact: {}, both: {}, ended: {} });
  const deleted = keys(PAGE_TOMBSTONES + 500);
  const theirs = indexWith(t, join(directory, 'theirs/index.db'), deleted);
  const last = [...deleted]
    .sort(Buffer.compare)
    .at(PAGE_TOMBSTONES - 1)
    ?.toString('hex');

  // Seen to fail (500 missing) when only the first page is requested.
  await t.test('are taken over page by page, all of them', async (t) => {
    const { index, antiEntropy, path } = comparer(t, join(directory, 'paged'));
    const { peer, asked } = await startPeer(t, 1, theirs);
    t.equal(await antiEntropy.takeDeletions(peer, never), deleted.length);
    t.strictSame(asked, [
      { after: '', answered: PAGE_TOMBSTONES },
      { after: last, answered: 500 },
    ]);
    t.strictSame(
      deleted.filter((key) => !index.isDeleted(key)),
      [],
    );
    t.equal(path.tombstones.count, deleted.length);
  });

  await t.test('that answers all of them at once, as earlier versions do, are taken over so', async (t) => {
    const { antiEntropy } = comparer(t, join(directory, 'whole'));
    const { peer, asked } = await startPeer(t, 1, theirs, { pages: false });
    t.equal(await antiEntropy.takeDeletions(peer, never), deleted.length);
    t.strictSame(asked, [{ after: '', answered: deleted.length }]);
  });

  // Seen to fail (endless requests) without the check in tombstonesOf() that a page ends after the one before.
  await t.test('of an earlier version that has just as many as a page has', async (t) => {
    const { antiEntropy } = comparer(t, join(directory, 'exact'));
    const exact = indexWith(t, join(directory, 'exact/theirs.db'), deleted.slice(0, PAGE_TOMBSTONES));
    const { peer, asked } = await startPeer(t, 1, exact, { pages: false });
    t.equal(await antiEntropy.takeDeletions(peer, never), PAGE_TOMBSTONES);
    t.equal(asked.length, 2);
  });

  // Seen to fail (twice as many) when takeInTurn() does not serialise the batches.
  await t.test('that another peer has deleted, too, are taken over once', async (t) => {
    const { antiEntropy, path } = comparer(t, join(directory, 'both'));
    const peers = await Promise.all([1, 2].map((id) => startPeer(t, id, theirs)));
    const taken = await Promise.all(peers.map(({ peer }) => antiEntropy.takeDeletions(peer, never)));
    t.equal((taken[0] as number) + (taken[1] as number), deleted.length);
    t.equal(path.tombstones.count, deleted.length);
  });

  // Seen to fail (all are taken) when takeInTurn() does not check the signal.
  await t.test('are taken over no longer than there is time for it', async (t) => {
    const { antiEntropy, path } = comparer(t, join(directory, 'ended'));
    const ending = new AbortController();
    const { peer } = await startPeer(t, 1, theirs, { pages: false });
    const { ask } = peer.client;
    // Aborts after the response, before the first batch.
    peer.client.ask = async (...question) => {
      const answer = await ask.apply(peer.client, question);
      if (question[0] === '/tombstones') setImmediate(() => ending.abort());
      return answer;
    };
    await t.rejects(antiEntropy.takeDeletions(peer, ending.signal), { name: 'AbortError' });
    t.ok(path.tombstones.count < deleted.length, `${path.tombstones.count} were taken`);
  });
});
