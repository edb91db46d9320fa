/** Mutations of events; see mutations.mjs. */
const outbox = 'daemon/index/outbox.ts';
const writer = 'daemon/index/batch-writer.ts';
const publisher = 'daemon/events/publisher.ts';
const outboxTest = ['index/outbox'];
const published = ['events/jetstream'];

export const eventMutations = [
  {
    name: 'an event is read only when it is durable',
    file: outbox,
    from: 'const { published } = this;',
    to: 'const { last: published } = this;',
    tests: outboxTest,
  },
  {
    name: 'an upload that was withdrawn has no event',
    file: outbox,
    from: 'AND (deleted = 1',
    to: 'AND (1',
    tests: outboxTest,
  },
  {
    name: 'an upload that was deleted since has its event',
    file: outbox,
    from: 'OR EXISTS (SELECT 1 FROM tombstone WHERE key = event.key)',
    to: '',
    tests: outboxTest,
  },
  {
    name: 'adopted files and metadata have no events',
    file: outbox,
    from: 'if (existed || isMetadata(name)) return;',
    to: '',
    tests: outboxTest,
  },
  {
    name: 'copies of peers have no events',
    file: writer,
    from: 'if (file.accepted && this.outbox.enabled) this.outbox.addStored(file);',
    to: 'if (this.outbox.enabled) this.outbox.addStored(file);',
    tests: outboxTest,
  },
  {
    name: 'a batch that failed leaves no gap in the numbers of events',
    file: writer,
    from: 'this.outbox.rollBackTo(lastEvent);',
    to: '',
    tests: outboxTest,
  },
  {
    name: 'the event of a deletion has size and SHA-256',
    file: writer,
    from: 'this.outbox.addDeleted(file, this.selectFile.get(file.key));',
    to: 'this.outbox.addDeleted(file, undefined);',
    tests: outboxTest,
  },
  {
    name: 'a deletion that recovery completes has its event',
    file: 'daemon/store/recovery.ts',
    from: 'accepted: false, recovered: record !== undefined };',
    to: 'accepted: false };',
    tests: ['events/webhook'],
  },
  {
    name: 'events that did not arrive are sent again',
    file: publisher,
    from: 'if (failure !== undefined) this.failed(failure);',
    to: 'outbox.acknowledge(upTo);\n    if (failure !== undefined) this.failed(failure);',
    tests: published,
  },
  {
    name: 'two events of a file are not sent together',
    file: publisher,
    from: 'if (seen.has(file)) return true;',
    to: '',
    tests: ['events/publisher'],
  },
  {
    name: 'a POST that is not answered 2xx is sent again',
    file: 'daemon/events/webhook-sink.ts',
    from: 'if (answer.statusCode >= 200 && answer.statusCode < 300)',
    to: 'if (answer.statusCode >= 200)',
    tests: ['events/webhook'],
  },
  {
    name: 'a POST has the time at which it is sent',
    file: 'daemon/events/webhook-sink.ts',
    from: 'const timestamp = String(Math.floor(Date.now() / 1000));',
    to: "const timestamp = '0';",
    tests: ['events/webhook'],
  },
];
