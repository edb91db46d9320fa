import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { PictureProcesses } from '../../daemon/pictures/processes.js';
import { assertProblem, problemOf } from '../helpers/assert-problem.js';
import { Elsewhere } from '../helpers/keys.js';
import { TestNode } from '../helpers/node.js';
import { BROWSER, counted, noisyJpeg, picture, pictureProcesses, plainJpeg } from '../helpers/pictures.js';

const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));
/** Large AVIF pictures take several seconds. */
const PRESETS = JSON.stringify({ thumb: { width: 60 }, large: { width: 4000, quality: 100 } });

function start(t: Test, env: Record<string, string> = {}): Promise<TestNode> {
  return TestNode.start(t, { env: { FIDFS_PICTURES: PRESETS, FIDFS_PICTURE_PROCESSES: '1', ...env } });
}

/** Resolves with the process that makes pictures, once it works on one. */
async function worker(node: TestNode): Promise<number> {
  await node.until(() => pictureProcesses(node).length === 1, 'making a picture');
  return pictureProcesses(node)[0] as number;
}

// Seen to fail without the settling of the task at the end of its process, and without the count of deaths.
t.test('a process that is killed at work costs one answer', async (t) => {
  const node = await start(t, { FIDFS_PICTURE_PROCESSES: '2' });
  const { id } = await node.upload(await noisyJpeg(4000, 3000), '?ext=jpg');
  const other = await node.upload(await plainJpeg(90, 90), '?ext=jpg');
  const kill = async () => {
    const asked = picture(node, 'large', id, BROWSER);
    const pid = await worker(node);
    await sleep(500);
    process.kill(pid, 'SIGKILL');
    return asked;
  };
  const killed = await kill();
  assertProblem(t, killed, 503, 'unavailable', 'the picture under way');
  t.equal(killed.headers['retry-after'], '5');
  t.equal((await picture(node, 'thumb', other.id)).status, 200, 'another picture');
  t.equal((await picture(node, 'thumb', id)).status, 200, 'another one of that file');
  assertProblem(t, await kill(), 415, 'not-a-picture', 'a second death at the same picture');
  t.equal(await counted(node, 'died'), 1);
  await node.until(() => /a process ended with SIGKILL/.test(node.log), 'logging the death');
});

// Seen to fail without the timer.
t.test('a picture that takes too long is given up', async (t) => {
  const node = await start(t);
  const { id } = await node.upload(await plainJpeg(90, 90), '?ext=jpg');
  t.equal((await picture(node, 'thumb', id)).status, 200);
  const stopped = await worker(node);
  process.kill(stopped, 'SIGSTOP');
  const started = performance.now();
  const { id: next } = await node.upload(await plainJpeg(91, 91), '?ext=jpg');
  assertProblem(t, await picture(node, 'thumb', next), 503, 'unavailable', 'a process that hangs');
  t.ok(performance.now() - started > 19_000);
  await node.until(() => /killed after 20 s/.test(node.log), 'logging it');
  t.equal((await picture(node, 'thumb', next)).status, 200, 'the next one');
  t.not(await worker(node), stopped);
});

// Seen to fail without the limit of the queue.
t.test('too many pictures at once are refused at once, and the others are made', async (t) => {
  const node = await start(t);
  const ids: string[] = [];
  for (let number = 0; number < 70; number++) {
    ids.push((await node.upload(await plainJpeg(70 + number, 70), '?ext=jpg')).id);
  }
  const [first = '', ...others] = ids;
  t.equal((await picture(node, 'thumb', first)).status, 200);
  const pid = await worker(node);
  process.kill(pid, 'SIGSTOP');
  // A connection for each; those of the helper are limited.
  const clients = new Elsewhere('127.0.0.1');
  t.teardown(() => clients.close());
  const answers: { status: number }[] = [];
  const asked = others.map(async (id) => {
    const answer = await clients.request(`${node.origin}/picture/thumb/${id}`, 'GET', {});
    answers.push(answer);
    return answer;
  });
  await node.until(() => answers.length === 69 - 65, 'refusing some');
  process.kill(pid, 'SIGCONT');
  const statuses = (await Promise.all(asked)).map(({ status }) => status);
  t.equal(statuses.filter((status) => status === 200).length, 65, 'one at work, 64 waiting');
  t.equal(statuses.filter((status) => status === 503).length, 4);
  t.equal(await counted(node, 'busy'), 4);
});

// Seen to fail without the limit of the wait.
t.test('a picture that has waited too long for a process is refused', async (t) => {
  const directory = t.testdir();
  const path = join(directory, 'small.jpg');
  writeFileSync(path, await plainJpeg(90, 90));
  // The start of a process takes longer than that.
  const processes = new PictureProcesses(1, 100_000_000, 20);
  t.teardown(() => processes.stop());
  const preset = { width: 60, fit: 'inside', quality: 80 } as const;
  const order = { original: { path }, preset, accepted: [] };
  const [made, ...waited] = await Promise.allSettled([1, 2, 3].map(() => processes.run(order)));
  t.equal(made?.status, 'fulfilled');
  for (const one of waited) t.match(one, { status: 'rejected', reason: { fault: 'busy' } });
  t.match(await processes.run(order), { type: 'image/jpeg' }, 'a later one');
});

// Seen to fail with the environment of the daemon, without ulimit, and without nice.
t.test('a process has no secrets, a limit of memory and a low priority, and ends with the daemon', async (t) => {
  const node = await start(t, { FIDFS_PICTURE_PIXELS: '1000000' });
  const { id } = await node.upload(await plainJpeg(900, 900), '?ext=jpg');
  t.equal(pictureProcesses(node).length, 0, 'none without a request');
  t.equal((await picture(node, 'thumb', id)).status, 200);
  const pid = await worker(node);
  const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').filter(Boolean);
  const names = environment.map((line) => line.split('=', 1)[0] ?? '');
  t.strictSame(
    names.filter((name) => !/^(?:NODE_CHANNEL|MALLOC|UV_|PWD$|OLDPWD$|SHLVL$|_$)/.test(name)),
    [],
  );
  t.notMatch(environment.join(), node.key);
  const limit = 512 * 2 ** 20 + 8 * 1_000_000;
  t.match(readFileSync(`/proc/${pid}/limits`, 'utf8'), new RegExp(`Max data size +${Math.ceil(limit / 1024) * 1024} `));
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8');
    const [name, nice] = [/\((.*)\)/.exec(stat)?.[1] ?? '', Number(stat.slice(stat.lastIndexOf(')')).split(' ')[17])];
    // Threads that Node starts before the program.
    if (!/^(?:node|sh|V8Worker|SignalInspector|DelayedTaskSche)/.test(name) || task === String(pid))
      t.equal(nice, 10, name);
  }
  const larger = await node.upload(await plainJpeg(1001, 1000), '?ext=jpg');
  const refused = await picture(node, 'thumb', larger.id);
  assertProblem(t, refused, 415, 'not-a-picture', 'more pixels than in the settings');
  t.match(problemOf(refused).detail, /1,000,000 pixels/);
  await node.killDaemon();
  await node.until(() => !isAlive(pid), 'without the process of the daemon that was killed');
  t.equal((await picture(node, 'console', id)).status, 200);
  const next = await worker(node);
  await node.stop();
  t.notOk(isAlive(next), 'a stop ends it');
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** A copy of the program whose packages are those of the project, but for sharp. */
function withoutSharp(t: Test): string {
  // Outside of the project, in whose packages Node would look next.
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const packages = join(PROJECT, 'node_modules');
  for (const name of ['bin', 'dist']) cpSync(join(PROJECT, name), join(directory, name), { recursive: true });
  // As in an installed package, which sets up and compiles nothing.
  rmSync(join(directory, 'bin/prepare.mjs'));
  for (const name of ['package.json', 'docs']) symlinkSync(join(PROJECT, name), join(directory, name));
  mkdirSync(join(directory, 'node_modules'));
  for (const name of readdirSync(packages)) {
    if (name !== 'sharp') symlinkSync(join(packages, name), join(directory, 'node_modules', name));
  }
  return directory;
}

t.test('without sharp there are no pictures, and all else works', async (t) => {
  const directory = withoutSharp(t);
  const node = await TestNode.create(t, { program: join(directory, 'bin/fidfs.mjs') });
  await node.start();
  const reason = /\/picture\/ answers 501: the package sharp is not installed/;
  const logs = (pattern: RegExp) => node.until(() => pattern.test(node.log), `logging ${pattern}`);
  await logs(reason);
  const body = await plainJpeg(90, 90);
  const { id } = await node.upload(body, '?ext=jpg');
  for (let round = 0; round < 3; round++) assertProblem(t, await picture(node, 'console', id), 501, 'no-pictures', id);
  t.ok((await node.get(id)).body.equals(body));
  t.equal(node.log.split('no pictures are made').length, 2, 'logged once');
  const { stdout, status } = await node.command('status');
  t.match(stdout, reason);
  t.match(stdout, 'All is well.');
  t.equal(status, 0);

  // Installed while the node runs, for another platform or broken.
  const broken = join(directory, 'node_modules/sharp');
  mkdirSync(broken);
  writeFileSync(join(broken, 'package.json'), '{"name":"sharp","version":"0.0.0","main":"index.js"}');
  writeFileSync(join(broken, 'index.js'), 'throw new Error("Could not load the module using the linux-x64 runtime");');
  await node.stop();
  await node.start();
  assertProblem(t, await picture(node, 'console', id), 501, 'no-pictures', 'broken');
  await logs(/answers 501: Could not load the module/);
  t.equal((await picture(node, 'console', id)).status, 501);
  t.match((await node.command('status')).stdout, /answers 501: Could not load the module/);
});
