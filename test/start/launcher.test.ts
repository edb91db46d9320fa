import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { TestNode } from '../helpers/node.js';
import { missing } from '../helpers/programs.js';

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));
const NODE = `'${process.execPath}' bin/fidfs.mjs start`;

/** All processes of this node, which share its environment. */
function processesOf(node: TestNode): number[] {
  const own = `FIDFS_DATA=${node.data}\0`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(own);
      } catch {
        return false; // it has ended, or belongs to another user
      }
    })
    .map(Number);
}

interface Launched {
  node: TestNode;
  launcher: ChildProcess;
}

/** Starts a node by another program, such as npm; resolves when it is ready. */
async function launch(t: Test, program: string, ...words: string[]): Promise<Launched> {
  const node = await TestNode.create(t);
  const { NODE_OPTIONS: _, ...environment } = process.env;
  const env = { ...environment, ...node.env, npm_config_update_notifier: 'false' };
  const launcher = spawn(program, words, { cwd: PROJECT, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let output = '';
  for (const stream of [launcher.stdout, launcher.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
    });
  }
  t.teardown(async () => {
    if (!t.passing()) t.comment(`${program} ${words.join(' ')}:\n${output}`);
    for (const pid of processesOf(node)) {
      try {
        process.kill(pid, 'SIGTERM');
      } catch {
        // it has already ended
      }
    }
    await node.until(() => processesOf(node).length === 0, 'gone');
  });
  const isReady = () => output.includes('is ready on') || launcher.exitCode !== null;
  const answers = async () => (await node.get('/readyz').catch(() => undefined))?.status === 200;
  await node.until(async () => isReady() && (await answers()), 'ready', 60);
  return { node, launcher };
}

// Seen to fail without "exec" in the script (npm start and SIGINT), and without stopWithLauncher (npx).
t.test('a node ends with the npm or npx that runs it, however that ends; others go on', async (t) => {
  const launched = await Promise.all([
    launch(t, 'npm', 'start'),
    launch(t, 'npm', 'start'),
    launch(t, 'npx', 'fidfs', 'start'),
    launch(t, 'npx', 'fidfs', 'start'),
  ]);
  // npm exits as soon as they are started, as a closed terminal would; the second stays in its session. Seen to fail if any
  // ancestor, or the shell, counts as the launcher.
  const others = await Promise.all([
    launch(t, 'npm', 'exec', '-c', `setsid ${NODE} & sleep 2`),
    launch(t, 'npm', 'exec', '-c', `${NODE} & sleep 2`),
  ]);
  for (const { node, launcher } of others) await node.until(() => launcher.exitCode !== null, 'left by its launcher');
  // (SIGINT to npx alone stops nothing: its shell waits for the node, and npx for the shell. Ctrl-C signals all of them.)
  const signals = ['SIGTERM', 'SIGINT', 'SIGTERM', 'SIGKILL'] as const;
  for (const [index, { launcher }] of launched.entries()) launcher.kill(signals[index]);
  for (const { node } of launched) await node.until(() => processesOf(node).length === 0, 'without processes');
  // They have checked their parents as often as the others by now, and lost them earlier.
  for (const { node } of others) t.equal((await node.get('/readyz')).status, 200, 'goes on without its parent');
  t.notOk(launched.some(({ launcher }) => launcher.exitCode === null && launcher.signalCode === null));
});

// Seen to fail without the handler of SIGHUP: nginx stays.
t.test('a node ends with its terminal, and goes on when it has none', { skip: missing('script') }, async (t) => {
  const { node, launcher } = await launch(t, 'script', '-qefc', NODE, join(t.testdir(), 'typescript'));
  const without = await launch(t, 'sh', '-c', `exec ${NODE}`);
  without.launcher.kill('SIGHUP');
  launcher.kill('SIGKILL');
  await node.until(() => processesOf(node).length === 0, 'without processes');
  t.equal((await without.node.get('/readyz')).status, 200);
  t.equal(without.launcher.exitCode, null);
});
