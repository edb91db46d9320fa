import { type ChildProcess, fork } from 'node:child_process';
import { fstatSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isatty } from 'node:tty';
import { fileURLToPath } from 'node:url';
import { findNginx, type NginxPrograms } from '../../nginx/programs.js';
import { nginxDirectory, writeStandalone } from '../../nginx/write.js';
import { makeDataDirectory } from '../access.js';
import { readKey } from '../config/key.js';
import { formatAddress, loadSettings, type Settings } from '../config/settings.js';
import type { DaemonMessage, SupervisorMessage } from '../supervision.js';
import { version } from '../version.js';
import { counted } from '../words.js';
import { CommandFailed } from './errors.js';
import { stopLeftOverDaemon } from './left-over-daemon.js';
import { outlastOutput } from './output.js';
import { asOwner, type Owner, ownerOf } from './owner.js';
import {
  daemonProgram,
  end,
  leftOverNginx,
  reachable,
  signalGroup,
  spawnNginx,
  stopLeftOverNginx,
  waitUntilListening,
  whyNotFree,
} from './processes.js';

/** Longer than the daemon's own limit of a drain. */
const DRAIN_SECONDS = 15;
const NGINX_STOP_SECONDS = 10;
const DAEMON_STOP_SECONDS = 30;
/** Maximum duration of a stop; a service manager must not kill the process earlier. */
export const LONGEST_STOP_SECONDS = DRAIN_SECONDS + NGINX_STOP_SECONDS + DAEMON_STOP_SECONDS;
const LONGEST_PAUSE_SECONDS = 10;

/** Settings from the environment that are repeated in printed command lines; none of them is secret. */
const SHOWN = /^FIDFS_(?:LISTEN|DAEMON_LISTEN|GROUP|SERVER_ID)$/;

/**
 * Runs nginx and the daemon in the foreground until a signal stops them; resolves when both have ended. Rejects with
 * CommandFailed or SettingsError if they cannot start.
 */
export async function start(configuration: string | undefined): Promise<void> {
  const settings = loadSettings(configuration);
  makeDataDirectory(settings);
  const nginx = findNginx();
  if (!nginx)
    throw new CommandFailed('nginx or its njs module is missing; "npm start" installs them, or see docs/nginx.md');
  await new Supervisor(settings, configuration, nginx).run();
}

/** The daemon's message that it listens. */
type Started = Extract<DaemonMessage, { type: 'ready' }>;

class Supervisor {
  private readonly ending = new AbortController();
  private daemon: ChildProcess | undefined;
  private nginx: ChildProcess | undefined;
  private readonly owner: Owner | undefined;
  private stopped: () => void = () => {};

  constructor(
    /** Replaced by a reload. */
    private settings: Settings,
    private readonly configuration: string | undefined,
    private readonly programs: NginxPrograms,
  ) {
    this.owner = ownerOf(settings.data);
  }

  private get stopping(): boolean {
    return this.ending.signal.aborted;
  }

  async run(): Promise<void> {
    const stopped = new Promise<void>((done) => {
      this.stopped = done;
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void this.stop());
    // SIGHUP stops a process whose terminal was closed. Without a terminal it lets the node read its settings again.
    const hasTerminal = [0, 1, 2].some((descriptor) => isatty(descriptor));
    process.on('SIGHUP', () => {
      if (hasTerminal) void this.stop();
      else if (this.daemon?.connected) sendTo(this.daemon, { type: 'reload' });
    });
    // A closed standard output does not stop the node.
    outlastOutput();
    try {
      await stopLeftOverDaemon(this.settings.data);
      const { keyMade, notReady } = await this.startDaemon();
      await stopLeftOverNginx(nginxDirectory(this.settings));
      const taken = await whyNotFree(this.settings.listen);
      if (taken !== undefined) throw new CommandFailed(taken);
      await this.startNginx();
      if (!this.stopping) this.printStarted(keyMade, notReady);
    } catch (error) {
      // A stop during the startup is not an error.
      if (!this.stopping) {
        await this.stop();
        throw error;
      }
    }
    await stopped;
  }

  /** Starts the daemon; resolves when it listens. Afterwards restarts it whenever it exits. Rejects with CommandFailed. */
  private async startDaemon(): Promise<Started> {
    const { uid, gid } = this.owner ?? {};
    const identity = uid === undefined || gid === undefined ? {} : { uid, gid };
    const { main, ...program } = daemonProgram();
    // In its own process group, so that Ctrl-C reaches the supervisor only, which stops nginx and the daemon in order.
    const options = { ...identity, ...program, detached: true, stdio: 'inherit' } as const;
    const daemon = fork(main, [this.configuration ?? '', String(process.pid)], options);
    this.daemon = daemon;
    const started = performance.now();
    const message = await new Promise<Extract<DaemonMessage, { type: 'ready' | 'failed' }>>((done) => {
      daemon.once('message', (told) => done(told as Extract<DaemonMessage, { type: 'ready' | 'failed' }>));
      daemon.once('exit', (code, signal) =>
        done({ type: 'failed', message: `the daemon ended with ${signal ?? code}`, portTaken: false }),
      );
    });
    if (message.type === 'failed') {
      this.daemon = undefined;
      // A second node on one machine usually conflicts on both ports: report both.
      const isOther = message.portTaken && leftOverNginx(nginxDirectory(this.settings)) === undefined;
      const also = isOther ? await whyNotFree(this.settings.listen) : undefined;
      throw new CommandFailed([`the daemon cannot start: ${message.message}`, ...(also ? [also] : [])].join('\n'));
    }
    daemon.on('message', (told: DaemonMessage) => {
      if (told.type === 'settings') sendTo(daemon, { type: 'nginx', ...this.reloadNginx(told.settings) });
    });
    daemon.once('exit', (code, signal) => {
      this.daemon = undefined;
      if (this.stopping) return;
      this.say(`the daemon ended (${signal ?? code}); starting it again. Downloads go on meanwhile.`);
      void this.startAgain('daemon', started, () => this.startDaemon());
    });
    return message;
  }

  private async startNginx(): Promise<void> {
    if (this.stopping) return;
    const configuration = this.writeConfiguration();
    const nginx = spawnNginx(this.programs.nginx, configuration, this.settings, this.owner);
    this.nginx = nginx;
    const started = performance.now();
    const ended = new AbortController();
    nginx.once('exit', () => ended.abort());
    nginx.once('error', () => ended.abort()); // the program could not be executed
    await waitUntilListening(this.settings.listen, ended.signal);
    if (ended.signal.aborted) throw new CommandFailed('nginx cannot start; its messages are above');
    nginx.once('exit', (code, signal) => {
      this.nginx = undefined;
      // Workers outlive a killed master and would keep the port; SIGQUIT lets them finish their responses.
      signalGroup(nginx.pid as number, 'SIGQUIT');
      if (this.stopping) return;
      this.say(`nginx ended (${signal ?? code}); starting it again.`);
      void this.startAgain('nginx', started, () => this.startNginx());
    });
  }

  /** Writes nginx's files; returns the path of its configuration. Throws the errors of the file system. */
  private writeConfiguration(): string {
    // By default the workers of an nginx started by root run as nobody, who may not read root's files.
    const runAs = process.getuid?.() === 0 && !this.owner ? 'root root' : undefined;
    return asOwner(this.owner, () => writeStandalone(this.settings, this.programs, runAs));
  }

  /** Lets nginx read its files anew, written for these settings. Returns the reason if they cannot be written. */
  private reloadNginx(settings: Settings): { problem?: string } {
    this.settings = settings;
    try {
      this.writeConfiguration();
    } catch (error) {
      return { problem: (error as Error).message };
    }
    // An nginx that is being started again reads them in any case.
    this.nginx?.kill('SIGHUP');
    return {};
  }

  /** Restarts immediately if the process ran for more than 10 seconds, otherwise with increasing pauses. */
  private async startAgain(what: string, started: number, begin: () => Promise<unknown>): Promise<void> {
    let pause = performance.now() - started > LONGEST_PAUSE_SECONDS * 1000 ? 0 : 0.5;
    while (!this.stopping) {
      await sleep(pause * 1000, undefined, { signal: this.ending.signal }).catch(() => {});
      if (this.stopping) return;
      try {
        await begin();
        return;
      } catch (error) {
        pause = Math.min(LONGEST_PAUSE_SECONDS, Math.max(1, pause * 2));
        this.say(`${what}: ${(error as Error).message}; trying again in ${counted(pause, 'second')}.`);
      }
    }
  }

  /**
   * Stops in order: the daemon refuses new uploads and deletions and answers those under way; nginx finishes its downloads,
   * with the daemon still there for requests that it forwards; then the daemon ends.
   */
  private async stop(): Promise<void> {
    if (this.stopping) return;
    this.ending.abort();
    await this.drainDaemon();
    if (this.nginx) await end(this.nginx, 'SIGQUIT', NGINX_STOP_SECONDS, 'SIGTERM');
    if (this.daemon) await end(this.daemon, 'SIGTERM', DAEMON_STOP_SECONDS, 'SIGKILL');
    this.stopped();
  }

  /**
   * Asks the daemon to drain. nginx keeps listening meanwhile, because uploads wait for copies that followers fetch through
   * it.
   */
  private async drainDaemon(): Promise<void> {
    const { daemon } = this;
    if (!daemon?.connected) return;
    const drained = new Promise<void>((done) => {
      daemon.on('message', (told) => (told as DaemonMessage).type === 'drained' && done());
      daemon.once('exit', () => done());
      setTimeout(done, DRAIN_SECONDS * 1000).unref();
    });
    sendTo(daemon, { type: 'drain' });
    await drained;
  }

  private say(text: string): void {
    process.stderr.write(`fidfs: ${text}\n`);
  }

  private printStarted(keyMade: boolean, notReady: string | undefined): void {
    const { listen, data, uploads, sync, fastdfsFrom } = this.settings;
    const origin = `http://${formatAddress(reachable(listen))}`;
    const readme = fileURLToPath(new URL('../../../README.md', import.meta.url));
    const header = uploads === 'open' ? '' : `-H "Authorization: Bearer ${this.keyForShell()}" `;
    const state =
      notReady === undefined ? `is ready on ${origin}` : `has started on ${origin}, but is not ready: ${notReady}`;
    const lines = [`fidfs ${version} ${state}`];
    if (notReady !== undefined) lines.push(`  ready        when ${origin}/readyz says so`);
    if (keyMade) {
      const key = isJournal() ? '' : `${readKey(this.settings)}   `;
      lines.push(`  upload key   ${key}(made now, kept in ${join(data, 'key')}, not shown again)`);
    }
    lines.push(`  try          curl ${header}-F file=@${quoted(readme)} ${quoted(`${origin}/upload`)}`);
    lines.push(`  in a browser ${origin}/console/`);
    lines.push(`  the command  ${this.commandLine('status')}`);
    if (uploads === 'open')
      lines.push('  warning      anybody who reaches this address can upload ("uploads": "open")');
    for (const [what, address] of [
      ['tracker', this.settings.fastdfsTracker],
      ['storage', this.settings.fastdfsStorage],
    ] as const) {
      if (address)
        lines.push(`  FastDFS      ${what} on ${formatAddress(address)}, without a key, for ${fastdfsFrom.join(', ')}`);
    }
    if (sync === 'off') lines.push('  warning      a power cut loses uploads that were acknowledged ("sync": "off")');
    if (process.getuid?.() === 0 && !this.owner) {
      lines.push(
        `  warning      runs as root, which is unwise; give ${data} to another user (chown -R) and start again`,
      );
    }
    process.stdout.write(`${lines.join('\n')}\n`);
  }
  /** A shell expression for the key, which itself is printed only once. */
  private keyForShell(): string {
    if (this.settings.key === undefined) return `$(cat ${quoted(join(this.settings.data, 'key'))})`;
    if (process.env.FIDFS_KEY) return '$FIDFS_KEY';
    return `$(${this.commandLine('key')})`;
  }

  /**
   * The `fidfs` command line with the settings of this node, valid in any directory. Not npx, which would fetch a package of
   * that name from the registry, and anybody may own that name.
   */
  private commandLine(command: string): string {
    const { data, storePaths } = this.settings;
    const absolute: Record<string, string> = { FIDFS_DATA: data };
    if (process.env.FIDFS_STORE_PATHS) absolute.FIDFS_STORE_PATHS = storePaths.join(',');
    const others = Object.entries(process.env).filter(([name, text]) => SHOWN.test(name) && text);
    const variables = Object.entries({ ...Object.fromEntries(others), ...absolute });
    const file = this.configuration ?? process.env.FIDFS_CONFIG;
    const words = [process.execPath, process.argv[1] ?? '', command, ...(file ? ['--config', resolve(file)] : [])];
    return [...variables.map(([name, text]) => `${name}=${quoted(String(text))}`), ...words.map(quoted)].join(' ');
  }
}

function sendTo(daemon: ChildProcess, message: SupervisorMessage): void {
  daemon.send(message);
}

/**
 * Whether standard output goes to systemd's journal (systemd.exec(5)). Many users may read the journal, so the key is not
 * printed there.
 */
function isJournal(): boolean {
  const { dev, ino } = fstatSync(1);
  return process.env.JOURNAL_STREAM === `${dev}:${ino}`;
}

/** Quotes a word for a shell if necessary. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
