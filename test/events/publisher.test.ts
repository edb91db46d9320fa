import { hash } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import t, { type Test } from 'tap';
import { Alarms } from '../../daemon/alarm.js';
import type { Identified } from '../../daemon/events/event.js';
import { Publisher, type Sink } from '../../daemon/events/publisher.js';
import { Index } from '../../daemon/index/index.js';
import type { StoredFile } from '../../daemon/store/records.js';
import fileId from '../../file-id/file-id.js';

/** A sink that records the pages, and answers as it is told. */
class FakeSink implements Sink {
  readonly target = 'a fake';
  readonly pageLength = 4;
  readonly longestPause = 10;
  readonly pages: number[][] = [];
  answer: (page: readonly Identified[]) => { arrived: number; failure?: string } = ({ length }) => ({
    arrived: length,
  });
  recover = () => {};

  start(): void {}

  async stop(): Promise<void> {}

  onRecovered(listener: () => void): void {
    this.recover = listener;
  }

  async send(page: readonly Identified[]): Promise<{ arrived: number; failure?: string }> {
    this.pages.push(page.map(({ event }) => event.number));
    return this.answer(page);
  }
}

function file(number: number): StoredFile {
  const key = fileId.encodeKey({ serverId: 1, created: 1_795_000_000, size: 9, crc32: 7, counter: number });
  const name = `${key.toString('base64url')}417.jpg`;
  const place = { id: name, key, storePath: 0, directory: 0, name };
  const sha256 = Buffer.from(hash('sha256', name), 'hex');
  return { ...place, size: 9, crc32: 7, sha256, created: 1_795_000_000, accepted: true };
}

function set(t: Test, backlog = 1000) {
  const index = new Index(join(t.testdir({}), 'index.db'));
  index.outbox.begin('0123456789ab-00', true);
  const alarms = new Alarms(pino({ level: 'silent' }), { alertUrl: undefined, serverId: 1, group: 'group1' });
  const sink = new FakeSink();
  const lines: string[] = [];
  const log = {
    info: (_: object, text: string) => lines.push(text),
    warn: (_: object, text: string) => lines.push(text),
  };
  const origin = { group: 'group1', site: 'main', serverId: 1 };
  const publisher = new Publisher({ outbox: index.outbox, origin, sink, backlog, alarms, log });
  t.teardown(async () => {
    await publisher.stop();
    alarms.stop();
    await index.close();
  });
  const record = (added: StoredFile[], removed: StoredFile[] = []) => {
    const deletions = removed.map((one) => ({ ...one, foreign: false }));
    index.record({ added, removed: deletions, checkpoint: index.checkpoint });
    index.publish();
  };
  const until = async (condition: () => boolean) => {
    for (let tries = 0; !condition(); tries++) {
      if (tries > 500) throw new Error('not within 10 seconds');
      await sleep(20);
    }
  };
  return { index, alarms, sink, lines, publisher, record, until };
}

// Seen to fail without oneOfEachFile(): 1 to 4 are one page.
t.test('two events of a file are not in one page, and a page ends at its length', async (t) => {
  const { sink, publisher, record, until } = set(t);
  const [one, two, three] = [file(1), file(2), file(3)];
  record([one, two], [one]);
  record([three], [two]);
  publisher.start();
  await until(() => publisher.state.sent === 5);
  t.strictSame(sink.pages, [
    [1, 2],
    [3, 4, 5],
  ]);
  record([11, 12, 13, 14, 15].map(file));
  await until(() => publisher.state.sent === 10);
  t.strictSame(sink.pages.slice(2), [[6, 7, 8, 9], [10]]);
});

// Seen to fail with all of the page acknowledged.
t.test('after a failure a page begins with the first event that did not arrive', async (t) => {
  const { sink, publisher, record, until, lines } = set(t);
  sink.answer = () => ({ arrived: 2, failure: 'it broke' });
  record([1, 2, 3, 4].map(file));
  publisher.start();
  await until(() => publisher.state.failure === 'it broke');
  sink.answer = ({ length }) => ({ arrived: length });
  sink.recover();
  await until(() => publisher.state.sent === 4);
  t.strictSame(sink.pages, [
    [1, 2, 3, 4],
    [3, 4],
  ]);
  t.equal(publisher.state.failure, null);
  t.strictSame(lines, ['events cannot be sent; they are kept, and sent later', 'events are sent again']);
});

// Seen to fail without dropBeyond() in tidy(), and with a log line for each call of it.
t.test('beyond the backlog the oldest are dropped: said once, counted, and an alarm', async (t) => {
  const { sink, publisher, record, until, lines, alarms } = set(t, 3);
  sink.answer = () => ({ arrived: 0, failure: 'it is away' });
  publisher.start();
  record([1, 2, 3, 4, 5].map(file));
  await until(() => publisher.state.dropped === 2);
  record([file(6)]);
  await until(() => publisher.state.dropped === 3);
  t.match(alarms.texts, [/^events: a fake: events cannot be sent, and the oldest [23] had to be dropped: it is away$/]);
  t.equal(lines.filter((text) => text.startsWith('too many events wait')).length, 1);
  sink.answer = ({ length }) => ({ arrived: length });
  sink.recover();
  await until(() => publisher.state.waiting === 0);
  t.strictSame(sink.pages.at(-1), [4, 5, 6]);
  t.equal(lines.at(-1), 'events are sent again; those that were dropped are missing');
  t.strictSame(alarms.texts, []);
});
