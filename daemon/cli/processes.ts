import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { trustedCertificates } from '../config/certificates.js';
import { type Address, formatAddress, type Settings } from '../config/settings.js';
import { CommandFailed } from './errors.js';
import type { Owner } from './owner.js';

/** How long the nginx and the daemon of an earlier start may take to end. */
export const LEFT_OVER_SECONDS = 10;

/** The address at which a client on this machine reaches a listening address: loopback for a wildcard. */
export function reachable({ host, port }: Address): Address {
  return { host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port };
}

/** Why nginx cannot listen on an address, and what to do; undefined if it can. Tries to listen there. */
export async function whyNotFree(address: Address): Promise<string | undefined> {
  const server = createServer();
  try {
    const listening = once(server, 'listening');
    server.listen({ ...address, ipv6Only: true });
    await listening;
  } catch (error) {
    const reason = (error as Error).message;
    return `nginx cannot listen on ${formatAddress(address)}: ${reason}; end what listens there, or write another address in "listen" (FIDFS_LISTEN)`;
  }
  server.close();
  await once(server, 'close');
  return undefined;
}

/** Resolves when a connection to the address is accepted, or when `aborted` fires. */
export async function waitUntilListening(address: Address, aborted: AbortSignal): Promise<void> {
  while (!aborted.aborted) {
    const accepted = await new Promise<boolean>((done) => {
      const socket = connect(reachable(address), () => {
        socket.destroy();
        done(true);
      });
      socket.on('error', () => done(false));
    });
    if (accepted) return;
    await sleep(20);
  }
}

/** Ends a child process with `signal`, after `seconds` with `last`. Resolves when it has ended. */
export async function end(
  child: ChildProcess,
  signal: NodeJS.Signals,
  seconds: number,
  last: NodeJS.Signals,
): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill(last), seconds * 1000);
  await ended;
  clearTimeout(timer);
}

/** Signals a process group; does nothing if it has ended. */
export function signalGroup(group: number, signal: NodeJS.Signals): void {
  signalProcess(-group, signal);
}

/** Signals a process; does nothing if it has ended. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Stops the nginx of this data directory that an earlier start left (kill -9), or its workers, which still hold the port.
 * Rejects with CommandFailed if it does not end.
 */
export async function stopLeftOverNginx(directory: string): Promise<void> {
  const group = leftOverNginx(directory);
  if (group !== undefined) {
    signalGroup(group, 'SIGTERM');
    const deadline = performance.now() + LEFT_OVER_SECONDS * 1000;
    while (membersOf(group).length > 0) {
      if (performance.now() > deadline) {
        throw new CommandFailed(
          `nginx of an earlier start does not end; end process ${group} as the user who started it`,
        );
      }
      await sleep(20);
    }
  }
  rmSync(pidFileOf(directory), { force: true });
}

function pidFileOf(directory: string): string {
  return join(directory, 'nginx.pid');
}

/** The process group of the nginx that an earlier start left running; undefined if there is none. */
export function leftOverNginx(directory: string): number | undefined {
  const group = Number(readText(pidFileOf(directory)));
  return group > 1 && isNginxOf(directory, membersOf(group)) ? group : undefined;
}

/** Whether a process group is the nginx of this directory: the number in the pid file may have been reused by another program. */
function isNginxOf(directory: string, commandLines: string[]): boolean {
  const master = commandLines.find((line) => line.startsWith('nginx: master'));
  if (master !== undefined) return master.includes(join(directory, 'nginx.conf'));
  return commandLines.some((line) => line.startsWith('nginx: worker'));
}

/**
 * The command lines of a process group, without its zombies. A process that is just ending has an empty command line, but may
 * still hold its port.
 */
function membersOf(group: number): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isAliveIn(name, group))
    .map((pid) => readText(`/proc/${pid}/cmdline`));
}

function isAliveIn(pid: string, wanted: number): boolean {
  const { state, group } = processState(pid);
  return group === wanted && isRunning(state);
}

/** State, parent and process group of a process; the state is "X" if there is none. */
export function processState(pid: string): { state: string; parent: number; group: number } {
  // The program's name, in parentheses, may contain any character.
  const [state = 'X', parent, group] = readText(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ');
  return { state, parent: Number(parent), group: Number(group) };
}

/** Whether a state of `processState` is that of a running process, not of a zombie. */
export function isRunning(state: string): boolean {
  return state !== '' && state !== 'Z' && state !== 'X';
}

/** Reads a file of /proc; empty if it does not exist. */
export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // no such file, or the process has just ended
  }
}

/** Lower ports need root or the capability CAP_NET_BIND_SERVICE. */
const FIRST_FREE_PORT = 1024;

/**
 * Starts nginx in a process group of its own. If root starts it for another owner, nginx runs as that owner: its
 * configuration is in the owner's directory, and a master running as root would execute whatever the owner wrote there. For a
 * port below 1024 it keeps the one capability needed.
 */
export function spawnNginx(
  program: string,
  configuration: string,
  settings: Pick<Settings, 'listen'>,
  owner: Owner | undefined,
): ChildProcess {
  const words = ['-e', 'stderr', '-p', dirname(configuration), '-c', configuration];
  const options: SpawnOptions = { detached: true, stdio: ['ignore', 'inherit', 'inherit'] };
  if (!owner) return spawn(program, words, options);
  const { uid, gid } = owner;
  if (settings.listen.port >= FIRST_FREE_PORT) return spawn(program, words, { ...options, uid, gid });
  const identity = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
  const capability = ['--inh-caps=+net_bind_service', '--ambient-caps=+net_bind_service'];
  const nginx = spawn('setpriv', [...identity, ...capability, '--', program, ...words], options);
  nginx.once('error', () => {
    process.stderr.write(`fidfs: setpriv (package util-linux) is missing; ports below ${FIRST_FREE_PORT} need it\n`);
  });
  return nginx;
}

/** The daemon as a Node program: its file, the options of Node, and the environment. */
export function daemonProgram(): { main: string; execArgv: string[]; env: NodeJS.ProcessEnv } {
  const certificates = trustedCertificates();
  return {
    main: fileURLToPath(new URL('../main.js', import.meta.url)),
    // Bodies live shortly, but V8 counts their external bytes and with its default heap would run a full garbage collection a
    // dozen times a second (100 KB uploads: a third more CPU). In MB.
    execArgv: ['--initial-old-space-size=64', ...(certificates ? ['--use-openssl-ca'] : [])],
    // Syncs block threads of the pool; its default size of 4 would leave none for writes.
    env: {
      ...process.env,
      UV_THREADPOOL_SIZE: process.env.UV_THREADPOOL_SIZE ?? '16',
      ...(certificates ? { SSL_CERT_FILE: certificates } : {}),
    },
  };
}
