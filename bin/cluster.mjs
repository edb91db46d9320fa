// Sets up the clone and starts three nodes of one group: npm run cluster [-- --port 8080 --directory var/cluster]
// Node 1 listens on the port, node 2 on the port + 100, node 3 on the port + 200; each daemon on the next port. Further nodes
// with a settings file in the directory (4.json) are started, too. The environment may contain shared settings (FIDFS_COPIES=3).
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
/** Settings of the nodes' own files, which the environment must not override. */
const OWN = /^FIDFS_(CONFIG|DATA|STORE_PATHS|LISTEN|DAEMON_LISTEN|GROUP|SERVER_ID|KEY|PEERS|PEER_SECRET)$/;

function readOptions() {
  const { values } = parseArgs({ options: { port: { type: 'string' }, directory: { type: 'string' } } });
  const { port = '8080', directory = join(root, 'var', 'cluster') } = values;
  if (!/^\d+$/.test(port) || port < 1 || port > HIGHEST_PORT) {
    throw new Error(`--port ${port}: write a number from 1 to ${HIGHEST_PORT}`);
  }
  return { port: Number(port), directory: resolve(directory) };
}

/** Reads a secret from a file, which the first start creates. */
function readOrMakeSecret(file) {
  if (!existsSync(file)) writeFileSync(file, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 });
  return readFileSync(file, 'utf8').trim();
}

/** Writes the missing settings files of the three nodes; returns id, url and files of each node that has a settings file. */
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
    // An existing file may have been edited, for example for a fourth node.
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

/** Runs `fidfs start` in a process group of its own, so that Ctrl-C signals this program only. */
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

/** Resolves when a node is ready for uploads; rejects if it exits before. */
async function ready(node) {
  // Checks the node's log, because another program may listen on the port.
  const hasBegun = () =>
    / (?:is ready|has started) on /.test(readFileSync(node.log).subarray(node.logStart).toString());
  let status;
  const ended = node.ended.then(() => {
    const [words] = readFileSync(node.log, 'utf8').trimEnd().split('\n').slice(-1);
    throw new Error(`node ${node.id} cannot start; ${shown(node.log)} ends with:\n${words}`);
  });
  ended.catch(() => {}); // it may also reject later
  while (status !== 200) {
    status = hasBegun() ? await answerOf(node, ended) : undefined;
    if (status !== 200) await Promise.race([ended, sleep(500)]);
  }
}

/** Resolves with the status of /readyz, or undefined if the node does not answer. Rejects if it has exited. */
function answerOf({ url }, ended) {
  return Promise.race([
    ended,
    fetch(`${url}/readyz`).then(
      (answer) => answer.status,
      () => undefined,
    ),
  ]);
}

/** Returns a path relative to the working directory, quoted for a shell if necessary. */
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

The upload key is in ${shown(join(directory, 'key'))}; the logs are ${shown(directory)}/1.log and so on. Ctrl-C stops them all.
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
  // A closed output, such as of a closed terminal, does not stop the nodes.
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
    if (failed) throw error; // not after a signal during the start
  } finally {
    const codes = await Promise.all(nodes.map(({ ended }) => ended));
    if (codes.some((code) => code > 0)) process.exitCode = 1;
  }
}

await orExit(main);
