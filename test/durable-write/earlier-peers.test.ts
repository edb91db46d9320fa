import t from 'tap';
import { Acknowledgements } from '../../daemon/replication/acknowledgements.js';
import { namesIn } from '../../daemon/replication/anti-entropy.js';
import { decodeLog } from '../../daemon/replication/page.js';
import { Source } from '../../daemon/replication/source.js';
import { Store } from '../../daemon/store/store.js';
import fileId from '../../file-id/file-id.js';
import { addSlave, kill, open, upload } from '../helpers/faulty-store.js';

const CONTENT = Buffer.from('of a file');

// Seen to fail without understoodBy() in source.ts, without isUnderstood() in namesIn(), and without
// assertOthersAreTaken() in store.ts.
t.test('a node of an earlier version', async (t) => {
  const modules = await open(t.testdir({}), 'batch');
  t.teardown(() => kill(modules));
  const { index, paths, store } = modules;
  const [master = '', other = ''] = await upload(modules, CONTENT, Buffer.from('of another'));
  const slave = await addSlave(modules, master, '_small', CONTENT);
  const gone = await addSlave(modules, master, '_gone', CONTENT);
  await store.setMetadata(fileId.decode(master), CONTENT);
  await store.remove(fileId.decode(gone));
  await store.remove(fileId.decode(other));
  const source = new Source('group1', paths, index, new Acknowledgements(index.replicationLog, () => false));
  t.teardown(() => source.stop());

  await t.test('is told of normal files and their deletions alone', async (t) => {
    const entriesFor = async (records: number) => {
      const cursor = { incarnation: index.replicationLog.epoch, from: 0, after: 0 };
      const question = { ...cursor, without: [], fetching: [], wait: 0, records };
      const page = await source.log(2, question, new AbortController().signal);
      const { log } = decodeLog(page as Buffer);
      t.equal(log.upTo, log.end, 'the follower goes on behind what it is not told');
      return log.entries.map((entry) => ('removed' in entry ? `-${entry.removed}` : entry.id));
    };
    t.strictSame(await entriesFor(1), [master, `-${other}`]);
    t.strictSame(await entriesFor(2), [master, slave, `${master}-m`, `-${gone}`, `-${other}`]);
  });

  await t.test('compares the names of normal files alone', (t) => {
    const { storePath, directory } = fileId.decode(master);
    const places = [(storePath << 16) | directory];
    const namesFor = (records: number) =>
      namesIn({ places, records }, { group: 'group1', index, paths })
        .files.map(({ id }) => id)
        .sort();
    t.strictSame(namesFor(1), [master]);
    t.strictSame(namesFor(2), [master, `${master}-m`, slave].sort());
    t.end();
  });

  await t.test('keeps the others from taking slaves and metadata', async (t) => {
    const policy = {
      isReplicated: () => false,
      mayTake: () => true,
      refusesOthers: () => 'node 2 runs an earlier version',
    };
    const settings = { group: 'group1', serverId: 1, deduplicate: true, sync: 'off' } as const;
    const refusing = new Store(settings, paths, index, () => {}, policy);
    const failure = { code: 'unavailable', message: /node 2/ };
    await t.rejects(refusing.setMetadata(fileId.decode(master), CONTENT), failure);
    await t.rejects(addSlave({ ...modules, store: refusing }, master, '_late', CONTENT), failure);
    await refusing.close();
  });
});
