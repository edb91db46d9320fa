import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { findNginx, type NginxPrograms } from '../../nginx/programs.js';
import { nginxDirectory, writeStandalone } from '../../nginx/write.js';
import { readKey } from '../config/key.js';
import { type Address, formatAddress, loadSettings, type Settings } from '../config/settings.js';
import type { DaemonMessage } from '../main.js';
import { version } from '../version.js';
import { CommandFailed } from './errors.js';

const NGINX_STOP_SECONDS = 10;
const DAEMON_STOP_SECONDS = 30;
const LONGEST_PAUSE_SECONDS = 10;

/** Who nginx's workers and the daemon run as, when root starts them. */
interface Owner {
  uid: number;
  gid: number;
  /** User and group as nginx writes them: left to itself it takes a user that may not read the store, root's own too. */
  names: string;
}

/** Runs nginx and the daemon in the foreground until a signal stops them. Returns when both have ended. */
export async function start(configuration: string | undefined): Promise<void> {
  const settings = loadSettings(configuration);
  mkdirSync(settings.data, { recursive: true });
  const nginx = findNginx();
  if (!nginx)
    throw new CommandFailed('nginx or its njs module is missing; "npm start" installs them, or see docs/nginx.md');
  await new Supervisor(settings, configuration, nginx).run();
}

function ownerOf(data: string): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = statSync(data);
  const name = (kind: string) => execFileSync('id', [kind, String(uid)], { encoding: 'utf8' }).trim();
  return { uid, gid, names: `${name('-un')} ${name('-gn')}` };
}

class Supervisor {
  private stopping = false;
  private daemon: ChildProcess | undefined;
  private nginx: ChildProcess | undefined;
  private readonly owner: Owner | undefined;
  private stopped: () => void = () => {};

  constructor(
    private readonly settings: Settings,
    private readonly configuration: string | undefined,
    private readonly programs: NginxPrograms,
  ) {
    this.owner = ownerOf(settings.data);
  }

  async run(): Promise<void> {
    const stopped = new Promise<void>((done) => {
      this.stopped = done;
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void this.stop());
    const keyMade = await this.startDaemon();
    try {
      await stopLeftOverNginx(join(nginxDirectory(this.settings), 'nginx.pid'), nginxDirectory(this.settings));
      await this.startNginx();
    } catch (error) {
      await this.stop();
      throw error;
    }
    if (!this.stopping) this.greet(keyMade);
    await stopped;
  }

  /** Starts the daemon; resolves when it is ready. From then on it is restarted whenever it dies. */
  private async startDaemon(): Promise<boolean> {
    const main = fileURLToPath(new URL('../main.js', import.meta.url));
    const { uid, gid } = this.owner ?? {};
    const identity = uid === undefined || gid === undefined ? {} : { uid, gid };
    // Syncs wait in threads; they must not use up those that write.
    const env = { ...process.env, UV_THREADPOOL_SIZE: process.env.UV_THREADPOOL_SIZE ?? '16' };
    const daemon = fork(main, [this.configuration ?? ''], { ...identity, env, stdio: 'inherit' });
    this.daemon = daemon;
    const started = Date.now();
    const message = await new Promise<DaemonMessage>((done) => {
      daemon.once('message', (told) => done(told as DaemonMessage));
      daemon.once('exit', (code, signal) =>
        done({ type: 'failed', message: `the daemon ended with ${signal ?? code}` }),
      );
    });
    if (message.type === 'failed') {
      this.daemon = undefined;
      throw new CommandFailed(`the daemon cannot start: ${message.message}`);
    }
    daemon.once('exit', (code, signal) => {
      this.daemon = undefined;
      if (this.stopping) return;
      this.say(`the daemon ended (${signal ?? code}); starting it again. Downloads go on meanwhile.`);
      void this.startAgain('daemon', started, () => this.startDaemon());
    });
    return message.keyMade;
  }

  private async startNginx(): Promise<void> {
    const configuration = writeStandalone(this.settings, this.programs.module, this.owner?.names);
    const argumentsOfNginx = ['-e', 'stderr', '-p', nginxDirectory(this.settings), '-c', configuration];
    const nginx = spawn(this.programs.nginx, argumentsOfNginx, { stdio: ['ignore', 'inherit', 'inherit'] });
    this.nginx = nginx;
    const started = Date.now();
    const ended = once(nginx, 'exit');
    const up = await Promise.race([waitUntilListening(this.settings.listen).then(() => true), ended.then(() => false)]);
    if (!up) throw new CommandFailed('nginx cannot start; its own words are above');
    nginx.once('exit', (code, signal) => {
      this.nginx = undefined;
      if (this.stopping) return;
      this.say(`nginx ended (${signal ?? code}); starting it again.`);
      void this.startAgain('nginx', started, () => this.startNginx());
    });
  }

  /** At once after a long life, with growing pauses after short ones. */
  private async startAgain(what: string, started: number, begin: () => Promise<unknown>): Promise<void> {
    let pause = Date.now() - started > LONGEST_PAUSE_SECONDS * 1000 ? 0 : 0.5;
    while (!this.stopping) {
      await sleep(pause * 1000);
      if (this.stopping) return;
      try {
        await begin();
        return;
      } catch (error) {
        pause = Math.min(LONGEST_PAUSE_SECONDS, Math.max(1, pause * 2));
        this.say(`${what}: ${(error as Error).message}; trying again in ${pause} seconds.`);
      }
    }
  }

  /** nginx first, so that what it is passing on still finds the daemon. */
  private async stop(): Promise<void> {
    if (this.stopping) return;
    this.stopping = true;
    if (this.nginx) await end(this.nginx, 'SIGQUIT', NGINX_STOP_SECONDS, 'SIGTERM');
    if (this.daemon) await end(this.daemon, 'SIGTERM', DAEMON_STOP_SECONDS, 'SIGKILL');
    this.stopped();
  }

  private say(text: string): void {
    process.stderr.write(`fidfs: ${text}\n`);
  }

  private greet(keyMade: boolean): void {
    const { listen, data, uploads, key, sync } = this.settings;
    const origin = `http://${formatAddress(reachable(listen))}`;
    const readme = fileURLToPath(new URL('../../../README.md', import.meta.url));
    const bearer = key === undefined ? `$(cat '${join(resolve(data), 'key')}')` : '$FIDFS_KEY';
    const header = uploads === 'open' ? '' : `-H "Authorization: Bearer ${bearer}" `;
    const lines = [`fidfs ${version} is ready on ${origin}`];
    if (keyMade)
      lines.push(
        `  upload key   ${readKey(this.settings)}   (made now, kept in ${join(data, 'key')}, not shown again)`,
      );
    lines.push(`  try          curl ${header}-F file=@${readme} ${origin}/upload`);
    if (uploads === 'open')
      lines.push('  warning      anybody who reaches this address can upload ("uploads": "open")');
    if (sync === 'off') lines.push('  warning      a power cut loses uploads that were acknowledged ("sync": "off")');
    if (this.owner?.uid === 0) {
      lines.push(
        `  warning      runs as root, which is unwise; give ${data} to another user (chown -R) and start again`,
      );
    }
    process.stdout.write(`${lines.join('\n')}\n`);
  }
}

/** Where a client on this machine reaches a listening address. */
export function reachable({ host, port }: Address): Address {
  return { host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port };
}

async function end(child: ChildProcess, signal: NodeJS.Signals, seconds: number, last: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill(last), seconds * 1000);
  await ended;
  clearTimeout(timer);
}

/** Resolves when somebody accepts connections there. */
async function waitUntilListening(address: Address): Promise<void> {
  for (;;) {
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

/** Ends an nginx of ours that outlived its starter (kill -9), which would hold the port. */
async function stopLeftOverNginx(pidFile: string, directory: string): Promise<void> {
  let pid: number;
  try {
    pid = Number(readFileSync(pidFile, 'utf8'));
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    if (!commandLine.includes('nginx') || !commandLine.includes(directory)) return;
    process.kill(pid, 'SIGTERM');
  } catch {
    return; // no such file or process: nothing is left over
  }
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return; // gone
    }
    await sleep(20);
  }
}
