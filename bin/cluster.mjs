// Three nodes of one group on this machine, to try: npm run cluster [-- --port 8080 --directory var/cluster]
// Set-up from nothing. Node 1 listens on the port, node 2 a hundred further on, node 3 another hundred; each one's
// daemon on the port after that. Further nodes whose settings lie there (4.json) are started, too. Settings that the nodes share may stand in the environment (FIDFS_COPIES=3).
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { findLauncher, stopWithLauncher } from './launcher.mjs';
import { orExit, prepare, root } from './prepare.mjs';

const NODES = [1, 2, 3];
const HIGHEST_PORT = 65535 - 201;
/** What the nodes' own settings files say, and the environment must not. */
const OWN = /^FIDFS_(CONFIG|DATA|STORE_PATHS|LISTEN|DAEMON_LISTEN|GROUP|SERVER_ID|KEY|PEERS|PEER_SECRET)$/;

function readOptions() {
  const { values } = parseArgs({ options: { port: { type: 'string' }, directory: { type: 'string' } } });
  const { port = '8080', directory = join(root, 'var', 'cluster') } = values;
  if (!/^\d+$/.test(port) || port < 1 || port > HIGHEST_PORT) {
    throw new Error(`--port ${port}: write a number from 1 to ${HIGHEST_PORT}`);
  }
  return { port: Number(port), directory: resolve(directory) };
}

/** A secret, made at the first start and kept. */
function readOrMakeSecret(file) {
  if (!existsSync(file)) writeFileSync(file, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 });
  return readFileSync(file, 'utf8').trim();
}

/** Writes the settings files of the three that are not there; returns what there is to know of each node that has one. */
function configure({ port, directory }) {
  mkdirSync(directory, { recursive: true });
  const key = readOrMakeSecret(join(directory, 'key'));
  const peerSecret = readOrMakeSecret(join(directory, 'peerSecret'));
  const addressOf = (id) => `127.0.0.1:${port + (id - 1) * 100}`;
  for (const id of NODES) {
    const daemonListen = `127.0.0.1:${port + (id - 1) * 100 + 1}`;
    const peers = NODES.filter((other) => other !== id).map((other) => ({
      id: other,
      group: 'group1',
      url: `http://${addressOf(other)}`,
    }));
    const data = join(directory, String(id));
    const settings = { serverId: id, data, listen: addressOf(id), daemonListen, key, peers, peerSecret };
    const file = `${data}.json`;
    // One that is there may have been changed by hand, such as for a fourth node.
    if (!existsSync(file)) {
      rmSync(`${file}.new`, { force: true });
      writeFileSync(`${file}.new`, `${JSON.stringify(settings, null, 2)}\n`, { mode: 0o600 });
      renameSync(`${file}.new`, file);
    }
  }
  const added = readdirSync(directory).flatMap((name) => /^(\d+)\.json$/.exec(name)?.[1] ?? []);
  const ids = added.map(Number).sort((one, other) => one - other);
  return ids.map((id) => {
    const settings = join(directory, `${id}.json`);
    const { listen = '127.0.0.1:8080' } = JSON.parse(readFileSync(settings, 'utf8'));
    return { id, url: `http://${listen}`, settings, log: join(directory, `${id}.log`) };
  });
}

/** Starts a node, as `fidfs start` does, in a process group of its own: Ctrl-C is for this program. */
function start(node) {
  const shared = Object.entries(process.env).filter(([name]) => !OWN.test(name));
  const log = openSync(node.log, 'a', 0o600);
  node.logStart = fstatSync(log).size;
  node.process = spawn(process.execPath, [join(root, 'bin/fidfs.mjs'), 'start', '--config', node.settings], {
    env: Object.fromEntries(shared),
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  node.ended = once(node.process, 'exit').then(([code]) => code);
}

/** Resolves when a node takes uploads; rejects when it ends before. */
async function ready(node) {
  // Another program may listen there, and be ready.
  const hasBegun = () =>
    / (?:is ready|has started) on /.test(readFileSync(node.log).subarray(node.logStart).toString());
  let status;
  const ended = node.ended.then(() => {
    const [words] = readFileSync(node.log, 'utf8').trimEnd().split('\n').slice(-1);
    throw new Error(`node ${node.id} cannot start; ${shown(node.log)} ends with:\n${words}`);
  });
  ended.catch(() => {}); // it may also end later
  while (status !== 200) {
    status = hasBegun() ? await answerOf(node, ended) : undefined;
    if (status !== 200) await Promise.race([ended, sleep(500)]);
  }
}

/** The status of a node's readiness; undefined when it cannot be asked. Rejects when it has ended. */
function answerOf({ url }, ended) {
  return Promise.race([
    ended,
    fetch(`${url}/readyz`).then(
      (answer) => answer.status,
      () => undefined,
    ),
  ]);
}

/** A path as one types it here, quoted for a shell where it must be. */
function shown(path) {
  const text = relative(process.cwd(), path);
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function greet(nodes, directory) {
  const [one, two, three] = nodes;
  const fidfs = `node ${shown(join(root, 'bin/fidfs.mjs'))}`;
  const header = `-H "Authorization: Bearer $(cat ${shown(join(directory, 'key'))})" -H 'Accept: text/plain'`;
  const readme = shown(join(root, 'README.md'));
  process.stdout.write(`${nodes.length} nodes are ready: ${nodes.map(({ url }) => url).join(', ')}
They are one group: what one of them takes, all of them hold. To try, in another terminal, here:

  upload to node 1    id=$(curl -sS ${header} -F file=@${readme} ${one.url}/upload); echo "$id"
  read from node 2    curl -sS "${two.url}/$id" | sed -n 1,3p
  read from node 3    curl -sS "${three.url}/$id" | sed -n 1,3p
  how they all are    ${fidfs} status --config ${shown(one.settings)}
  in a browser        ${two.url}/console/
  stop node 1         kill ${one.process.pid}
  start it again      ${fidfs} start --config ${shown(one.settings)}

The upload key is in ${shown(join(directory, 'key'))}; what the nodes say is in ${shown(directory)}/1.log and so on. Ctrl-C stops them all.
`);
}

async function main() {
  const { directory, ...options } = readOptions();
  stopWithLauncher(findLauncher());
  await prepare();
  const nodes = configure({ directory, ...options });
  let stopping = false;
  const stop = () => {
    stopping = true;
    for (const node of nodes) node.process?.kill('SIGTERM');
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);
  // Nobody reads any more: that is no reason to stop serving.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  try {
    for (const node of nodes) start(node);
    await Promise.all(nodes.map(ready));
    greet(nodes, directory);
    for (const { id, ended } of nodes) {
      void ended.then(
        (code) => stopping || process.stdout.write(`node ${id} has ended (${code ?? 'killed'}); the others go on\n`),
      );
    }
  } catch (error) {
    const failed = !stopping;
    stop();
    if (failed) throw error; // a signal during the start is no failure
  } finally {
    const codes = await Promise.all(nodes.map(({ ended }) => ended));
    if (codes.some((code) => code > 0)) process.exitCode = 1;
  }
}

await orExit(main);
