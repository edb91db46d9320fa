import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Test, test } from 'tap';
import { freePort } from '../helpers/ports.js';
import { missing, run } from '../helpers/programs.js';

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));
const ENVIRONMENT = { ...process.env, NODE_OPTIONS: '', FIDFS_RESERVE: '1MiB' };

/** The program of `npm run cluster`, in its own directory. */
class Trial {
  output = '';
  private process: ChildProcess | undefined;

  constructor(
    readonly directory: string,
    readonly port: number,
  ) {}

  /** Resolves when it has printed its instructions, or has exited. */
  async start(): Promise<void> {
    this.output = '';
    const options = ['--port', String(this.port), '--directory', this.directory];
    // In its own process group, as from a shell, so that Ctrl-C can be simulated.
    const child = spawn(process.execPath, [join(PROJECT, 'bin/cluster.mjs'), ...options], {
      cwd: PROJECT,
      env: ENVIRONMENT,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.process = child;
    await new Promise<void>((printed) => {
      const collect = (chunk: Buffer) => {
        this.output += chunk;
        if (this.output.includes('Ctrl-C')) printed();
      };
      child.stdout.on('data', collect);
      child.stderr.on('data', collect);
      child.once('close', () => printed());
    });
  }

  /** Signals its process group, as a terminal does; resolves with its exit status. */
  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
    const child = this.process as ChildProcess;
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      process.kill(-(child.pid as number), signal);
      await ended;
    }
    return child.exitCode;
  }

  /** All its descendant processes. */
  pids(): number[] {
    const below = (pid: number): number[] => {
      const file = `/proc/${pid}/task/${pid}/children`;
      const children = existsSync(file) ? readFileSync(file, 'utf8').trim().split(' ').filter(Boolean).map(Number) : [];
      return [...children, ...children.flatMap(below)];
    };
    return below(this.process?.pid ?? 0);
  }

  /** Runs a command that it printed after `label`. */
  async paste(label: string, before = ''): Promise<string> {
    const line = this.output.split('\n').find((one) => one.trimStart().startsWith(label));
    if (line === undefined) throw new Error(`nothing printed for ${label}:\n${this.output}`);
    const { status, stdout, stderr } = await run('sh', ['-c', `${before}${line.trim().slice(label.length)}`], {
      NODE_OPTIONS: '',
    });
    if (status !== 0) throw new Error(`${line}: ${status} ${stdout}${stderr}`);
    return stdout;
  }
}

/** A first port for which all ports of three nodes are free. */
async function firstPort(from = 20_000): Promise<number> {
  const port = await freePort(from, from + 5000);
  const others = [1, 100, 101, 200, 201, 300, 301].map((more) =>
    freePort(port + more, port + more).catch(() => undefined),
  );
  return (await Promise.all(others)).includes(undefined) ? firstPort(port + 1) : port;
}

async function trial(t: Test): Promise<Trial> {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-cluster-'));
  const made = new Trial(directory, await firstPort(20_000 + Math.floor(Math.random() * 5000)));
  t.teardown(async () => {
    await made.stop();
    if (!t.passing()) t.comment(made.output);
    rmSync(directory, { recursive: true, force: true });
  });
  return made;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('npm run cluster starts three nodes, and what it prints to try works as printed', async (t) => {
  const cluster = await trial(t);
  await cluster.start();
  const id = (await cluster.paste('upload to node 1')).trim();
  t.match(id, /^group1\/M00\//);
  const readme = readFileSync(join(PROJECT, 'README.md'), 'utf8').split('\n').slice(0, 3).join('\n');
  for (const label of ['read from node 2', 'read from node 3']) {
    t.equal((await cluster.paste(label, `id=${id}; `)).trimEnd(), readme.trimEnd(), label);
  }
  const status = await cluster.paste('how they all are');
  t.match(status, /All is well\./);
  for (const node of [1, 2, 3]) t.match(status, new RegExp(`^${node} +group1 +up`, 'm'));

  const secrets = ['key', 'peerSecret', '1.json', '2.json', '3.json'];
  for (const name of secrets) t.equal(statSync(join(cluster.directory, name)).mode & 0o777, 0o600, name);
  t.notMatch(cluster.output, readFileSync(join(cluster.directory, 'key'), 'utf8').trim(), 'no secret is printed');

  const pids = cluster.pids();
  t.ok(pids.length >= 9, 'each node has a supervisor, a daemon and nginx', { pids });
  t.equal(await cluster.stop('SIGINT'), 0, 'Ctrl-C is no failure');
  t.strictSame(pids.filter(isAlive), [], 'no process is left');

  const file = join(cluster.directory, '1.json');
  // A fourth node, by docs/cluster.md.
  const fourth = { id: 4, group: 'group1', url: `http://127.0.0.1:${cluster.port + 300}` };
  const settings = [1, 2, 3].map((id) => JSON.parse(readFileSync(join(cluster.directory, `${id}.json`), 'utf8')));
  const [first] = settings;
  const others = [{ id: 1, group: 'group1', url: `http://127.0.0.1:${cluster.port}` }, ...first.peers];
  for (const one of settings) one.peers.push(fourth);
  settings.push({
    ...{ ...first, serverId: 4, peers: others, data: join(cluster.directory, '4') },
    ...{ listen: `127.0.0.1:${cluster.port + 300}`, daemonListen: `127.0.0.1:${cluster.port + 301}` },
  });
  for (const one of settings) writeFileSync(join(cluster.directory, `${one.serverId}.json`), JSON.stringify(one));
  const changed = readFileSync(file, 'utf8');
  await cluster.start();
  // Seen to fail with the message for three nodes.
  t.match(cluster.output, `4 nodes are ready: http://127.0.0.1:${cluster.port}, `);
  t.match(await cluster.paste('how they all are'), /^4 +group1 +up/m);
  // Seen to fail with the settings files written at each start.
  t.equal(readFileSync(file, 'utf8'), changed, 'settings that are there are not written again');
  t.equal((await cluster.paste('read from node 3', `id=${id}; `)).trimEnd(), readme.trimEnd(), 'after a second start');
  await cluster.paste('stop node 1');
  const second = `http://127.0.0.1:${cluster.port + 100}`;
  const key = readFileSync(join(cluster.directory, 'key'), 'utf8').trim();
  t.equal((await fetch(`${second}/${id}`)).status, 200, 'the others go on serving');
  const headers = { authorization: `Bearer ${key}` };
  const answer = await fetch(`${second}/upload`, { method: 'POST', body: 'more', headers });
  t.equal(answer.status, 201, 'and taking uploads');
  const left = cluster.pids();
  t.equal(await cluster.stop('SIGTERM'), 0);
  t.strictSame(left.filter(isAlive), [], 'no process is left');
});

// Seen to fail without the check of the node's log: another program on the port was taken for the node.
test('npm run cluster says which node cannot start, stops the others and fails', async (t) => {
  const cluster = await trial(t);
  // Another program, which answers with 200.
  const other = createServer((_, response) => response.end('ready')).listen(cluster.port + 100, '127.0.0.1');
  await once(other, 'listening');
  t.teardown(() => other.close());
  await cluster.start();
  t.equal(await cluster.stop(), 1);
  t.match(cluster.output, /node 2 cannot start; .*2\.log ends with:\n.*end what listens there/);
});

test('docker-compose.yml is one that docker-compose takes', { skip: missing('docker-compose') }, async (t) => {
  const words = ['-f', join(PROJECT, 'docker-compose.yml'), 'config'];
  const secrets = { FIDFS_KEY: 'key-0123456789abcdef', FIDFS_PEER_SECRET: 'peer-secret-0123456789' };
  const taken = await run('docker-compose', words, secrets);
  t.equal(taken.status, 0, taken.stderr);
  for (const peer of [1, 2, 3]) t.match(taken.stdout, `${peer}@group1=http://node${peer}:8080`);
  for (const left of Object.keys(secrets)) {
    const refused = await run('docker-compose', words, { ...secrets, [left]: '' });
    t.not(refused.status, 0, `without ${left} it does not start`);
    t.match(refused.stderr, left);
  }
});
