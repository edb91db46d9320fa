import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { disordered, eventsIn, sent } from '../helpers/events.js';
import { Load } from '../helpers/load.js';
import { NatsServer, WITHOUT_NATS } from '../helpers/nats.js';
import { TestNode } from '../helpers/node.js';
import { seeded } from '../helpers/random.js';

/** Set by `npm run storm -- --rounds N`. */
const ROUNDS = Number(process.env.STORM_ROUNDS ?? 6);

// Seen to fail with `outbox.acknowledge` before `sink.send` in daemon/events/publisher.ts: events are missing; and without the
// conditions of `select` in daemon/index/outbox.ts in some runs only (test/index/outbox.test.ts has them).
t.test(
  'every durable upload and deletion is published, and nothing else, whatever is killed',
  { skip: WITHOUT_NATS },
  async (t) => {
    const random = seeded(t);
    const server = await NatsServer.start(t);
    const node = await TestNode.start(t, { env: { FIDFS_NATS: server.url, FIDFS_EVENTS: 'on' } });
    const load = new Load(node, random, { deletions: 30, slaves: 10, largest: 20_000, clients: 8 });
    for (let round = 1; round <= ROUNDS; round++) {
      load.start();
      // The kills must come at random moments; this waits for nothing.
      await sleep(50 + random.below(300));
      const kind = random.below(3);
      if (kind !== 0) await server.kill();
      await sleep(random.below(200));
      if (kind !== 1) await node.killDaemon();
      await load.stop();
      if (kind !== 0) await server.restart();
    }
    await sent(node, 0);
    const connection = await server.client(t);
    const events = (await eventsIn(connection, 'fidfs-events')).map(({ event }) => event);
    const idsOf = (type: string) => new Set(events.filter((event) => event.type === type).map(({ id }) => id));
    const [stored, deleted] = [idsOf('stored'), idsOf('deleted')];
    const promised = load.promised();
    const wanted = [...promised.stored.keys(), ...promised.deleted];
    t.strictSame(
      wanted.filter((id) => !stored.has(id)),
      [],
      'every upload that was answered is there',
    );
    t.strictSame(
      [...promised.deleted].filter((id) => !deleted.has(id)),
      [],
      'and every deletion',
    );
    const wrong: string[] = [];
    for (const id of stored) {
      const { status } = await node.request(`/${id}`, { method: 'HEAD' });
      if (status !== (deleted.has(id) ? 404 : 200)) wrong.push(`${id}: ${status}`);
    }
    t.strictSame(wrong, [], 'what is published is so on the disk');
    t.strictSame(disordered(events), [], 'in order');
    const numbers = new Set(events.map(({ number }) => number));
    t.comment(`${events.length} events, ${events.length - numbers.size} of them again`);
    t.ok(events.length > ROUNDS * 10);
  },
);
