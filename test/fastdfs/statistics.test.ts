import t from 'tap';
import { createCluster, startAll } from '../helpers/cluster.js';
import { WireClient } from '../helpers/fastdfs-client.js';
import { freePort } from '../helpers/ports.js';

const ACTIVE = 7;
const OFFLINE = 5;

/** The records of an answer, which follow a head that ends with their number in `width` bytes. */
function recordsOf(answer: Buffer, { head, width, length }: { head: number; width: number; length: number }): Buffer[] {
  const count = answer.readUIntBE(head - width, width);
  if (answer.length !== head + count * length) throw new Error(`${answer.length} bytes with ${count} records`);
  return Array.from({ length: count }, (_, index) => answer.subarray(head + index * length).subarray(0, length));
}

function textAt(record: Buffer, offset: number): string {
  return record.toString('latin1', offset).replace(/\0.*$/s, '');
}

// Seen to fail when an answer had the node that was asked alone, and when the filters were ignored.
t.test('the statistics have all nodes and groups, selected as asked', async (t) => {
  const nodes = await createCluster(t, { groups: ['group1', 'group1', 'group2'] });
  const trackers: number[] = [];
  const storages: number[] = [];
  for (const node of nodes) {
    const [tracker, storage] = [await freePort(), await freePort()];
    trackers.push(tracker);
    storages.push(storage);
    node.configure({ FIDFS_FASTDFS_TRACKER: `127.0.0.1:${tracker}`, FIDFS_FASTDFS_STORAGE: `127.0.0.1:${storage}` });
  }
  await startAll(nodes);
  const client = await WireClient.connect(trackers[0] ?? 0);
  t.teardown(() => client.close());
  const ask = async (command: number, shape: Parameters<typeof recordsOf>[1], filter: readonly number[]) =>
    recordsOf(await client.get(command, Buffer.from(filter)), shape);

  const hosts = async (...filter: number[]) =>
    (await ask(96, { head: 1, width: 1, length: 90 }, filter)).map((record) => [
      textAt(record, 0),
      record[52] === 1 ? 'leader' : 'follower',
      record[53] === 1 ? 'up' : 'down',
    ]);
  // All nodes have the port of the one that answers: they have the same settings.
  const host = `127.0.0.1:${trackers[0]}`;
  const [leader, follower] = [
    [host, 'leader', 'up'],
    [host, 'follower', 'up'],
  ];
  t.strictSame(await hosts(0, 0, 0), [leader, follower, follower]);
  t.strictSame(await hosts(2, 0, 1), [leader]);
  t.strictSame(await hosts(2, 0, 0), [follower, follower]);
  t.strictSame(await hosts(1, 0, 0), []);

  const servers = async (...filter: number[]) =>
    (await ask(97, { head: 6, width: 4, length: 106 }, filter)).map((record) => [
      textAt(record, 0),
      textAt(record, 16),
      record[69],
    ]);
  const [one, two, three] = storages.map((port, index) => [String(index + 1), `127.0.0.1:${port}`, ACTIVE]);
  const equal = '='.charCodeAt(0);
  const other = '!'.charCodeAt(0);
  t.strictSame(await servers(0, 0, 0, 0), [one, two, three]);
  t.strictSame(await servers(2, equal, ACTIVE, 0), [one, two, three]);
  t.strictSame(await servers(2, other, ACTIVE, 0), []);
  t.strictSame(await servers(1, 0, 0, 1), [one, two, three], 'without trunk files that filter is ignored');

  const volumes = async (...filter: number[]) =>
    (await ask(98, { head: 5, width: 4, length: 59 }, filter)).map((record) => textAt(record, 0));
  t.strictSame(await volumes(0, 0, 0, 0), ['group1', 'group2']);
  t.strictSame(await volumes(1, 1, 0, 0), ['group1', 'group2']);
  t.strictSame(await volumes(1, 0, 0, 0), [], 'none without space');
  t.strictSame(await volumes(4, 0, 0, 0), []);

  await nodes[2]?.stop();
  await nodes[0]?.until(async () => (await servers(2, other, ACTIVE, 0)).length === 1, 'aware that node 3 is down');
  t.strictSame(await servers(2, equal, OFFLINE, 0), [[...(three ?? []).slice(0, 2), OFFLINE]]);
  t.strictSame(await servers(2, equal, ACTIVE, 0), [one, two]);
  t.strictSame(await hosts(1, 0, 0), [[host, 'follower', 'down']]);
  for (const command of [96, 97, 98]) t.equal((await client.ask(command, Buffer.alloc(5))).status, 22);
});
