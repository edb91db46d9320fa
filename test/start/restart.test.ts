import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { Load } from '../helpers/load.js';
import { TestNode } from '../helpers/node.js';
import { commandLine } from '../helpers/processes.js';
import { seeded } from '../helpers/random.js';

/** The process ids of a node's nginx, master first. */
/** The master and the worker; the processes that care for its cache come and go. */
function nginxPids(node: TestNode): number[] {
  return node.pids().filter((pid) => /^nginx: (?:master|worker)/.test(commandLine(pid)));
}

t.test('a daemon that dies is started again while downloads and /info go on', async (t) => {
  const node = await TestNode.start(t);
  const { id } = await node.upload(Buffer.from('still here'));
  const [before] = [node.daemonPid()];
  const wrong: unknown[] = [];
  let again = false;
  let rounds = 0;
  const reading = (async () => {
    while (!again) {
      const answers = await Promise.all([node.get(id), node.get(`/info/${id}`), node.get('/healthz')]);
      if (answers.some(({ status }) => status !== 200)) wrong.push(answers.map(({ status }) => status));
      rounds++;
    }
  })();
  process.kill(before, 'SIGKILL');
  await node.until(async () => (await node.get('/readyz')).status === 503, 'not ready for a moment');
  const refused = await node.post('x');
  // Seen to fail (never ready again) without startAgain.
  await node.until(async () => (await node.get('/readyz')).status === 200, 'ready again');
  again = true;
  await reading;
  t.strictSame(wrong, []);
  t.ok(rounds > 1);
  t.match(refused, { status: 503, headers: { 'retry-after': '5', 'content-type': 'application/problem+json' } });
  t.not(node.daemonPid(), before);
  t.match(node.log, 'the daemon ended (SIGKILL); starting it again. Downloads go on meanwhile.');
  await node.upload(Buffer.from('and uploads too'));
});

t.test('an nginx whose master is killed is started again, and its workers do not stay', async (t) => {
  const node = await TestNode.start(t);
  const { id } = await node.upload(Buffer.from('still here'));
  const before = nginxPids(node);
  t.equal(before.length, 2, 'a master and a worker');
  process.kill(before[0] as number, 'SIGKILL');
  await node.until(() => node.log.includes('nginx ended (SIGKILL); starting it again.'), 'noticed');
  // Seen to fail without the signal to the group: the old worker keeps the port, and nginx cannot be restarted.
  await node.until(() => nginxPids(node).length === 2, 'running again');
  await node.until(() => before.every((pid) => commandLine(pid) === ''), 'rid of the old worker');
  await node.until(async () => (await node.get(id).catch(() => undefined))?.status === 200, 'serving');
  await node.upload(Buffer.from('new'));
});

t.test('the next start takes over from a supervisor that was killed, with or without its nginx', async (t) => {
  const node = await TestNode.start(t);
  const { id } = await node.upload(Buffer.from('still here'));
  for (const masterToo of [false, true]) {
    const pids = node.pids();
    const [master] = nginxPids(node);
    process.kill(node.pid, 'SIGKILL');
    // Seen to fail with the daemon's "disconnect" left out.
    await node.until(
      () => pids.filter((pid) => commandLine(pid).includes('daemon/main')).length === 0,
      'rid of the daemon',
    );
    t.equal(String((await node.get(id)).body), 'still here', 'nginx serves on');
    if (masterToo) process.kill(master as number, 'SIGKILL');
    // Seen to fail without stopLeftOverNginx: the port is in use.
    await node.start();
    t.strictSame(
      pids.filter((pid) => commandLine(pid) !== ''),
      [],
      'nothing is left of the first',
    );
    t.equal(String((await node.get(id)).body), 'still here');
    // nginx listens before it writes this file.
    const pidFile = join(node.data, 'nginx/nginx.pid');
    const isNew = () => existsSync(pidFile) && readFileSync(pidFile, 'utf8') === `${nginxPids(node)[0]}\n`;
    await node.until(isNew, 'with the process id of the new nginx');
  }
  await node.assertClean(t);
});

t.test('a daemon ends with its supervisor even when nobody reads its log any more', async (t) => {
  const node = await TestNode.start(t);
  await node.upload(Buffer.from('a line for the log'));
  const daemon = node.daemonPid();
  node.hangUp();
  await node.upload(Buffer.from('and storing goes on'));
  process.kill(node.pid, 'SIGKILL');
  // Seen to fail (it did not exit and kept the lock) with pino's own buffered destination.
  await node.until(() => commandLine(daemon) === '', 'ended');
  await node.start();
});

// Seen to fail ("another fidfs is at work") without stopLeftOverDaemon, and (it does not exit) without its SIGKILL.
t.test('a start right after the supervisor was killed succeeds, whatever the orphaned daemon was doing', async (t) => {
  const node = await TestNode.start(t);
  // An upload that does not end: the daemon waits for it.
  const endless = request(`${node.origin}/upload?ext=bin`, {
    ...{ method: 'POST', headers: node.authorized({ 'transfer-encoding': 'chunked' }), agent: false },
  });
  endless.on('error', () => {}); // cut off
  endless.write(Buffer.alloc(3_000_000, 'a'));
  await node.until(() => readdirSync(join(node.storePath, 'tmp')).length > 0, 'receiving');
  const load = new Load(node, seeded(t), { clients: 2 });
  load.start();
  await node.until(() => load.count(201) > 20, 'loaded');
  const pids = node.pids();
  process.kill(node.pid, 'SIGKILL');
  await node.start();
  await load.stop();
  endless.destroy();
  t.strictSame(
    pids.filter((pid) => commandLine(pid) !== ''),
    [],
    'nothing is left of the first',
  );
  for (const id of load.promised().stored.keys()) {
    if ((await node.get(id)).status !== 200) t.fail('what was acknowledged is lost', { id });
  }
  t.match(node.log, 'a daemon outlived its start');
  const second = await node.command('start');
  t.match(second, { status: 1, stderr: /another fidfs process uses/ }, 'one whose supervisor runs is left alone');
  t.equal((await node.get('/readyz')).status, 200);

  // A stopped process does not handle SIGTERM.
  const hanging = node.daemonPid();
  process.kill(hanging, 'SIGSTOP');
  process.kill(node.pid, 'SIGKILL');
  await node.start();
  t.equal(commandLine(hanging), '', 'nor of the second');
});
