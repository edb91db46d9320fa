import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import t, { type Test } from 'tap';
import { disordered, eventsIn, sent } from '../helpers/events.js';
import { NatsServer, WITHOUT_NATS } from '../helpers/nats.js';
import { COMMAND, TestNode } from '../helpers/node.js';
import { freePort } from '../helpers/ports.js';

/** Starts Node in the root of the project; returns its output. It is killed after the test, and after 30 seconds. */
function outputOf(t: Test, words: readonly string[], env: NodeJS.ProcessEnv) {
  const cwd = new URL('../../../', import.meta.url);
  const child = spawn(process.execPath, words, { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const limit = setTimeout(() => child.kill(), 30_000);
  t.teardown(() => {
    clearTimeout(limit);
    child.kill();
  });
  return child.stdout;
}

/** The state of a node's events in `fidfs status`. */
async function stateOf(node: TestNode) {
  const { stdout } = await node.command('status', '--json');
  return JSON.parse(stdout).events;
}

// Seen to fail without `addStored` and `addDeleted` in daemon/index/batch-writer.ts, and without the row of the deleted file there.

t.test('uploads and deletions are published to JetStream', { skip: WITHOUT_NATS }, async (t) => {
  const server = await NatsServer.start(t);
  const env = { FIDFS_NATS: server.url, FIDFS_EVENTS: 'on', FIDFS_CLUSTER_NAME: 'photos' };
  const node = await TestNode.start(t, { env });
  const [first, second] = [await node.upload(Buffer.from('one'), '?ext=txt'), await node.upload(Buffer.from('two'))];
  await node.request(`/metadata/${first.id}`, {
    method: 'PUT',
    headers: node.authorized({ 'content-type': 'application/json' }),
    body: '{"a":"b"}',
  });
  t.equal((await node.delete(first.id)).status, 204);
  await sent(node, 3);
  const before = await server.client(t);
  const found = await eventsIn(before, 'photos-events');
  const time = found.map(({ event }) => event.time);
  const common = { group: 'group1', site: 'main', node: 1 };
  const of = ({ id, size, sha256, created }: typeof first) => ({ id, size, sha256, created, ...common });
  t.strictSame(
    found.map(({ subject, event: { time: _, ...event } }) => ({ subject, event })),
    [
      { subject: 'photos.events.group1.stored', event: { type: 'stored', ...of(first), number: 1 } },
      { subject: 'photos.events.group1.stored', event: { type: 'stored', ...of(second), number: 2 } },
      { subject: 'photos.events.group1.deleted', event: { type: 'deleted', ...of(first), number: 3 } },
    ],
    'each has what describes the file; metadata is no file',
  );
  t.ok(time.every((text) => Math.abs(Date.parse(text) - Date.now()) < 60_000));
  const { config } = await (await jetstreamManager(before)).streams.info('photos-events');
  t.match(config, { num_replicas: 1, max_bytes: 2 ** 30, max_age: 7 * 86_400e9, subjects: ['photos.events.>'] });

  await server.kill();
  const away = await node.upload(Buffer.from('while NATS is away'));
  await node.delete(second.id);
  t.equal((await node.get(away.id)).status, 200, 'nothing waits for NATS');
  await node.until(async () => (await stateOf(node)).failure !== null, 'failing');
  t.equal((await stateOf(node)).waiting, 2);
  t.match(
    (await node.command('status')).stdout,
    /events to NATS, photos\.events: 2 wait, the oldest of .*cannot be sent/,
  );
  await node.stop();
  await node.start();
  t.match(await stateOf(node), { waiting: 2, sent: 0 }, 'they are kept over a restart');
  await server.restart();
  await sent(node, 2);
  const connection = await server.client(t);
  const manager = await jetstreamManager(connection);
  const later = (await eventsIn(connection, 'photos-events')).map(({ event }) => event);
  t.strictSame(
    later.slice(3).map(({ type, id, number }) => [type, id, number]),
    [
      ['stored', away.id, 4],
      ['deleted', second.id, 5],
    ],
  );
  t.strictSame(disordered(later), []);
  const metrics = (await node.get('/metrics')).body.toString();
  t.match(metrics, /^fidfs_events_sent_total 2$/m);
  t.match(metrics, /^fidfs_event_backlog_events 0$/m);

  // Seen to fail with `from` left out of readEvents: nothing is printed.
  t.test('fidfs events prints them', async (t) => {
    const lines = later.map((event) => `${JSON.stringify(event)}\n`).join('');
    t.match(await node.command('events', '--from', '1h'), { status: 0, stdout: lines });
    t.match(await node.command('events', '--from', new Date().toISOString()), { status: 0, stdout: /^$/ });
    t.match(await node.command('events'), { status: 2, stderr: /write --follow/ });
    const following = outputOf(t, [COMMAND, 'events', '--follow', '--from', '1h'], { ...process.env, ...node.env });
    let output = '';
    let isMore = false;
    for await (const chunk of following) {
      output += chunk;
      if (output.length >= lines.length && !isMore) {
        isMore = true;
        const { id } = await node.upload(Buffer.from('followed'));
        later.push({ type: 'stored', id } as (typeof later)[number]);
      }
      if (output.length > lines.length) break;
    }
    t.match(output.slice(lines.length), later.at(-1)?.id);
  });

  t.test('the consumer in docs/events.md gets them', async (t) => {
    const text = readFileSync(new URL('../../../docs/events.md', import.meta.url), 'utf8');
    const program = /```js\n(.*?)```/s.exec(text)?.[1]?.replaceAll('fidfs-events', 'photos-events') ?? '';
    const environment = { PATH: process.env.PATH, NATS_URL: server.url.slice('nats://'.length) };
    const consumer = outputOf(t, ['--input-type=module', '-e', program], environment);
    let output = '';
    for await (const chunk of consumer) {
      output += chunk;
      if (output.split('\n').length > later.length) break;
    }
    t.equal(output, later.map(({ type, id }) => `${type} ${id}\n`).join(''));
  });

  t.test('a stream of the operator is used as it is', async (t) => {
    await node.stop();
    await manager.streams.delete('photos-events');
    await manager.streams.add({ name: 'mine', subjects: ['photos.events.group1.*'], max_msgs: 10 });
    await node.start();
    await node.upload(Buffer.from('into a stream of the operator'));
    await sent(node, 1);
    t.equal((await eventsIn(connection, 'mine')).length, 1);
    const names: string[] = [];
    for await (const name of manager.streams.names()) names.push(name);
    t.strictSame(names, ['mine']);
    t.equal((await manager.streams.info('mine')).config.max_msgs, 10);
  });

  t.test('events that are off are not recorded, and what waited is dropped', async (t) => {
    await server.kill();
    await node.upload(Buffer.from('never published'));
    await node.stop();
    node.configure({ FIDFS_EVENTS: 'off', FIDFS_NATS: '' });
    await node.start();
    await node.until(() => node.log.includes('events are off; those that were not sent yet are dropped'), 'logged');
    t.equal(await stateOf(node), null);
    await node.upload(Buffer.from('unseen'));
  });
});

t.test('without "events": "on" nothing connects to NATS', async (t) => {
  let connections = 0;
  const port = await freePort();
  const server = createServer(() => connections++).listen(port, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const node = await TestNode.start(t, { env: { FIDFS_NATS: `nats://127.0.0.1:${port}` } });
  await node.upload(Buffer.from('quiet'));
  // Longer than an attempt to connect would take to begin.
  await sleep(1500);
  t.equal(connections, 0);
});
