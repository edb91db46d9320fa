import t from 'tap';
import { named, number, padded, WireClient } from '../helpers/fastdfs-client.js';
import { TestNode } from '../helpers/node.js';
import { freePort } from '../helpers/ports.js';

// FastDFS's own answers to the same requests.
t.test(
  'what cannot exist is not found, what is malformed is refused, and a count ends at the end of the file',
  async (t) => {
    const [tracker, storage] = [await freePort(), await freePort()];
    const env = { FIDFS_FASTDFS_TRACKER: `127.0.0.1:${tracker}`, FIDFS_FASTDFS_STORAGE: `127.0.0.1:${storage}` };
    await TestNode.start(t, { env });
    const [toTracker, client] = [await WireClient.connect(tracker), await WireClient.connect(storage)];
    t.teardown(() => {
      for (const one of [toTracker, client]) one.close();
    });
    const id = await client.upload(Buffer.from('hello world'));

    // Seen to fail when a group that no ID can have was refused as malformed.
    for (const group of ['group2', 'a b', '']) {
      for (const command of [90, 92, 104, 107])
        t.equal((await toTracker.ask(command, padded(group, 16))).status, 2, `${command} of "${group}"`);
      const rest = Buffer.from(id.slice(id.indexOf('/') + 1));
      for (const command of [102, 103, 105])
        t.equal((await toTracker.ask(command, Buffer.concat([padded(group, 16), rest]))).status, 2);
    }

    const name = id.slice(0, -10);
    // Seen to fail when a name that no file can have was refused as malformed.
    for (const unknown of [`${name}!*12345.txt`, `${name.slice(0, -9)}\0${name.slice(-8)}1234567.txt`]) {
      t.equal((await client.info(unknown)).status, 2, JSON.stringify(unknown));
      t.equal((await client.download(unknown)).status, 2);
      t.equal((await client.delete(unknown)).status, 2);
      t.equal((await toTracker.ask(102, named(unknown))).status, 2);
    }
    for (const malformed of [
      'group1/x',
      'group1/M00/0a/0b/AQAAAGsJ6jSASPc0AAST4LRH55M398.bin',
      'group1/M00/../00/a',
      `${id}/`,
    ]) {
      t.equal((await client.info(malformed)).status, 22, malformed);
      t.equal((await toTracker.ask(103, named(malformed))).status, 22);
    }

    // Seen to fail when a count beyond 2^53 was refused.
    for (const count of [2n ** 53n, 2n ** 62n, 2n ** 63n - 1n])
      t.equal(String((await client.download(id, 6, count)).body), 'world');
    t.equal((await client.download(id, 6, -1)).status, 22);
    t.equal((await client.ask(14, Buffer.concat([number(2n ** 62n), number(1), named(id)]))).status, 22);
  },
);
