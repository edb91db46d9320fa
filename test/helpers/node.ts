import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { Agent, type Dispatcher, request } from 'undici';
import { freePort } from './ports.js';

/** The fidfs command of this project. */
export const COMMAND = fileURLToPath(new URL('../../../bin/fidfs.mjs', import.meta.url));

/** Runs node without what tap adds to follow processes: it slows each start, and writes where other users may not. */
const WITHOUT_OPTIONS = ['-u', 'NODE_OPTIONS'];

/** One file of an upload's answer. */
export interface Uploaded {
  id: string;
  url: string;
  size: number;
  crc32: string;
  sha256: string;
  created: string;
  copies: number;
}

/** What came back, read whole. */
export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

/** How a command ended. */
export interface Ended {
  status: number;
  stdout: string;
  stderr: string;
}

export interface NodeOptions {
  /** Environment variables, such as FIDFS_SYNC. */
  env?: Record<string, string>;
  /** An existing directory for everything; a fresh one otherwise. */
  directory?: string;
  /** Who starts it, where root runs the tests. */
  user?: { uid: number; gid: number };
  /** How many descriptors each of its processes may have. */
  descriptors?: number;
  /** The fidfs command, where it is not this project's. */
  program?: string;
}

/** A real node: nginx and daemon, in a directory of its own, on free ports. */
export class TestNode {
  readonly key = 'test-key-0123456789abcdef';
  /** It keeps connections nearly as long as nginx does: undici sends a request twice that it begins as it gives its connection up. */
  readonly agent = new Agent({ connections: 64, pipelining: 1, keepAliveTimeout: 60_000 });
  private process: ChildProcess | undefined;
  private output = '';

  private constructor(
    readonly directory: string,
    readonly port: number,
    readonly daemonPort: number,
    private readonly extra: Record<string, string>,
    private readonly user: NodeOptions['user'],
    private readonly descriptors: NodeOptions['descriptors'],
    private program: string,
  ) {}

  /** Makes a node that is not started, and cleans up after the test; a failing test prints the log. */
  static async create(t: Test, options: NodeOptions = {}): Promise<TestNode> {
    const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'fidfs-test-'));
    const node = new TestNode(
      directory,
      await freePort(),
      await freePort(),
      { ...options.env },
      options.user,
      options.descriptors,
      options.program ?? COMMAND,
    );
    t.teardown(async () => {
      await node.stop();
      await node.agent.destroy();
      if (!t.passing()) t.comment(`log of the node:\n${node.log.slice(-20_000)}`);
      if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
    });
    return node;
  }

  /** Makes and starts a node. */
  static async start(t: Test, options: NodeOptions = {}): Promise<TestNode> {
    const node = await TestNode.create(t, options);
    await node.start();
    return node;
  }

  /** Changes its settings from the next start on. */
  configure(env: Record<string, string>): void {
    Object.assign(this.extra, env);
  }

  /** Runs another fidfs command, such as that of another version, from the next start on. */
  use(program: string): void {
    this.program = program;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get data(): string {
    return this.extra.FIDFS_DATA ?? join(this.directory, 'data');
  }

  get storePath(): string {
    return this.env.FIDFS_STORE_PATHS?.split(',')[0] ?? join(this.data, 'store0');
  }

  /** Where a file of this node lies, whether it is there or not. */
  pathOf(id: string): string {
    return join(this.storePath, 'data', id.split('/').slice(2).join('/'));
  }

  /** Whether a file is on this node's own disk. */
  hasFile(id: string): boolean {
    return existsSync(this.pathOf(id));
  }

  /** All that nginx and the daemon have said so far. */
  get log(): string {
    return this.output;
  }

  get pid(): number {
    return this.process?.pid ?? 0;
  }

  get env(): Record<string, string> {
    return {
      FIDFS_DATA: this.data,
      FIDFS_LISTEN: `127.0.0.1:${this.port}`,
      FIDFS_DAEMON_LISTEN: `127.0.0.1:${this.daemonPort}`,
      FIDFS_KEY: this.key,
      FIDFS_WORKERS: '1',
      // The reserve is a test of its own: no disk that runs the tests needs to be 5 % empty.
      FIDFS_RESERVE: '1MiB',
      ...this.extra,
    };
  }

  /** Starts it; resolves when it listens, ready or not, rejects with its words when it ends before. */
  async start(): Promise<void> {
    const limit = this.descriptors === undefined ? [] : ['prlimit', `--nofile=${this.descriptors}`];
    const child = spawn('env', [...WITHOUT_OPTIONS, ...limit, process.execPath, this.program, 'start'], {
      env: { ...process.env, ...this.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group as a shell makes it, so that a test can press Ctrl-C.
      detached: true,
      ...this.user,
    });
    this.process = child;
    const from = this.output.length;
    await new Promise<void>((ready, failed) => {
      const collect = (chunk: Buffer) => {
        this.output += chunk;
        if (/ (?:is ready|has started) on /.test(this.output.slice(from))) ready();
      };
      child.stdout.on('data', collect);
      child.stderr.on('data', collect);
      child.once('exit', (code) => failed(new Error(`the node ended with ${code}:\n${this.output.slice(from)}`)));
    });
  }

  /** Stops reading what it says, as when a terminal is closed. */
  hangUp(): void {
    this.process?.stdout?.destroy();
    this.process?.stderr?.destroy();
  }

  /** Stops it as a user does. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
    this.process = undefined;
  }

  /** Resolves with the exit status, or the signal, with which it ends. */
  async ended(): Promise<number | NodeJS.Signals | null> {
    const child = this.process;
    if (!child) throw new Error('the node was not started');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return child.exitCode ?? child.signalCode;
  }

  /** The process id of the daemon. */
  daemonPid(): number {
    return this.children().find((pid) => commandLine(pid).includes('daemon/main.js')) ?? 0;
  }

  /** Every process of the node: supervisor, daemon, nginx's master and workers. */
  pids(): number[] {
    const children = this.children();
    return [this.pid, ...children, ...children.flatMap(childrenOf)];
  }

  private children(): number[] {
    return childrenOf(this.pid);
  }

  /** Kills the daemon with -9 and resolves when it has been started again and is ready. */
  async killDaemon(): Promise<void> {
    process.kill(this.daemonPid(), 'SIGKILL');
    await this.until(async () => this.daemonPid() !== 0 && (await this.get('/readyz')).status === 200, 'ready again');
  }

  /** Waits for a condition that has no event; the test's own time limit ends it. */
  async until(condition: () => boolean | Promise<boolean>, what: string, seconds = 30): Promise<void> {
    const end = Date.now() + seconds * 1000;
    while (!(await condition())) {
      if (Date.now() > end) throw new Error(`not ${what} within ${seconds} seconds`);
      await sleep(20);
    }
  }

  /** Any request to nginx; the body is read whole. */
  async request(
    path: string,
    options: Omit<Dispatcher.RequestOptions, 'origin' | 'path'> & { origin?: string },
  ): Promise<Answer> {
    const { origin = this.origin, ...rest } = options;
    const answer = await request(origin + path, { dispatcher: this.agent, ...rest });
    const body = Buffer.from(await answer.body.arrayBuffer());
    return { status: answer.statusCode, headers: answer.headers, body };
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.request(path.startsWith('/') ? path : `/${path}`, { method: 'GET', headers });
  }

  delete(id: string, headers: Record<string, string> = this.authorized()): Promise<Answer> {
    return this.request(`/${id}`, { method: 'DELETE', headers });
  }

  authorized(others: Record<string, string> = {}): Record<string, string> {
    return { authorization: `Bearer ${this.key}`, ...others };
  }

  /** A raw upload, whatever comes of it. */
  post(body: Dispatcher.DispatchOptions['body'], query = '', headers: Record<string, string> = {}): Promise<Answer> {
    return this.request(`/upload${query}`, { method: 'POST', body: body ?? null, headers: this.authorized(headers) });
  }

  /** A raw upload that must succeed. */
  async upload(body: Buffer, query = ''): Promise<Uploaded> {
    const answer = await this.post(body, query);
    if (answer.status !== 201) throw new Error(`upload: ${answer.status} ${answer.body}`);
    return (JSON.parse(answer.body.toString()) as { files: [Uploaded] }).files[0];
  }

  /** The `fidfs` command with this node's settings. */
  command(...words: string[]): Promise<Ended> {
    return new Promise((resolve) => {
      const options = { env: { ...process.env, ...this.env }, cwd: this.directory, maxBuffer: 2 ** 26 };
      execFile(
        'env',
        [...WITHOUT_OPTIONS, process.execPath, this.program, ...words],
        options,
        (error, stdout, stderr) => {
          resolve({ status: error ? Number(error.code) : 0, stdout, stderr });
        },
      );
    });
  }

  /**
   * Asserts that nothing is wrong and nothing half done is left.
   * @param isKilled whether it was killed or cut off: then an upload that was never answered may be in quarantine, torn
   */
  async assertClean(t: Test, { isKilled = false } = {}): Promise<void> {
    const { status, stdout, stderr } = await this.command('verify');
    t.equal(status, 0, 'fidfs verify is clean', { found: stdout + stderr });
    for (const directory of isKilled ? ['tmp'] : ['tmp', 'quarantine']) {
      const path = join(this.storePath, directory);
      t.strictSame(existsSync(path) ? readdirSync(path) : [], [], `nothing is left in ${directory}`);
    }
  }
}

/** What a process was started as; empty when it has ended. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // no such process any more
  }
}

/** The problem document of an answer. */
export function problemOf(answer: Answer): { type: string; title: string; status: number; detail: string } {
  return JSON.parse(answer.body.toString());
}

function childrenOf(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return children
      .split(' ')
      .filter((one) => one !== '')
      .map(Number);
  } catch {
    return []; // ended meanwhile
  }
}

/** The files of an upload's 201. */
export function uploadedOf(answer: Answer): Uploaded[] {
  if (answer.status !== 201) throw new Error(`upload: ${answer.status} ${answer.body}`);
  return (JSON.parse(answer.body.toString()) as { files: Uploaded[] }).files;
}
