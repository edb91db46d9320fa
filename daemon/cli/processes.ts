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

/** How long nginx and the daemon of an earlier start may take to end. */
export const LEFT_OVER_SECONDS = 10;

/** Where a client on this machine reaches a listening address. */
export function reachable({ host, port }: Address): Address {
  return { host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port };
}

/** Why nginx could not listen there, because others do or it is not allowed, and what to do; undefined when it can. */
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

/** Resolves when somebody accepts connections there, or when the wait is aborted. */
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

/** Ends a child with a signal, and with another when it takes too long. */
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

/** Signals a process group; nothing happens when all of it has ended. */
export function signalGroup(group: number, signal: NodeJS.Signals): void {
  signalProcess(-group, signal);
}

/** Signals a process; nothing happens when it has ended. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Ends an nginx of ours that outlived its starter (kill -9), or workers that outlived both: they hold the port. */
export async function stopLeftOverNginx(directory: string): Promise<void> {
  const group = leftOverNginx(directory);
  if (group !== undefined) {
    signalGroup(group, 'SIGTERM');
    const patience = performance.now() + LEFT_OVER_SECONDS * 1000;
    while (peersOf(group).length > 0) {
      if (performance.now() > patience) {
        throw new CommandFailed(`nginx of an earlier start does not end; end process ${group} as who started it`);
      }
      await sleep(20);
    }
  }
  rmSync(pidFileOf(directory), { force: true });
}

function pidFileOf(directory: string): string {
  return join(directory, 'nginx.pid');
}

/** The process group of an nginx of ours that an earlier start left; undefined when there is none. */
export function leftOverNginx(directory: string): number | undefined {
  const group = Number(readText(pidFileOf(directory)));
  return group > 1 && isNginxOf(directory, peersOf(group)) ? group : undefined;
}

/** Whether a process group is ours: by now its number, which is its leader's, may be that of other programs. */
function isNginxOf(directory: string, commandLines: string[]): boolean {
  const master = commandLines.find((line) => line.startsWith('nginx: master'));
  if (master !== undefined) return master.includes(join(directory, 'nginx.conf'));
  return commandLines.some((line) => line.startsWith('nginx: worker'));
}

/**
 * The command lines of a process group, without its zombies. That of a process that is just ending is empty, and yet it
 * may still hold its port.
 */
function peersOf(group: number): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isAliveIn(name, group))
    .map((pid) => readText(`/proc/${pid}/cmdline`));
}

function isAliveIn(pid: string, wanted: number): boolean {
  const { state, group } = processState(pid);
  return group === wanted && isRunning(state);
}

/** How a process is, whose child it is, and its process group; an empty state when there is none. */
export function processState(pid: string): { state: string; parent: number; group: number } {
  // The program's name, in parentheses, may hold anything.
  const [state = 'X', parent, group] = readText(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ');
  return { state, parent: Number(parent), group: Number(group) };
}

export function isRunning(state: string): boolean {
  return state !== '' && state !== 'Z' && state !== 'X';
}

/** A file of /proc; empty when there is none (any more). */
export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // no such file, or the process ended meanwhile
  }
}

/** Ports below this one are root's, and his who has the capability. */
const FIRST_FREE_PORT = 1024;

/**
 * Starts nginx in a process group of its own, with the owner's rights where root starts it for another: its files lie in
 * the owner's directory, and a master with root's rights would do there whatever the owner wrote into them. For a port
 * below 1024 it keeps the one capability that this takes.
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

/** The daemon as a Node program: its file, what Node itself is told, and the environment. */
export function daemonProgram(): { main: string; execArgv: string[]; env: NodeJS.ProcessEnv } {
  const certificates = trustedCertificates();
  return {
    main: fileURLToPath(new URL('../main.js', import.meta.url)),
    // Bodies are garbage soon, but V8 counts their bytes and would go through its whole heap a dozen times a second
    // (100 KB uploads: a third more CPU); in MB.
    execArgv: ['--initial-old-space-size=64', ...(certificates ? ['--use-openssl-ca'] : [])],
    // Syncs wait in threads; they must not use up those that write.
    env: {
      ...process.env,
      UV_THREADPOOL_SIZE: process.env.UV_THREADPOOL_SIZE ?? '16',
      ...(certificates ? { SSL_CERT_FILE: certificates } : {}),
    },
  };
}
