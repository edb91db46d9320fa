import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { Agent, type Dispatcher, request } from 'undici';
import { Client } from '../../daemon/cli/client.js';
import { ownerOf } from '../../daemon/cli/owner.js';
import { findingsOf } from '../../daemon/cli/status.js';
import { verify } from '../../daemon/cli/verify.js';
import { loadSettings } from '../../daemon/config/settings.js';
import type { Status } from '../../daemon/status.js';
import { assertDescribed } from './description.js';
import { freePort } from './ports.js';
import { childrenOf, commandLine } from './processes.js';

/** The fidfs command of this project. */
export const COMMAND = fileURLToPath(new URL('../../../bin/fidfs.mjs', import.meta.url));

/** Removes the options that tap adds to trace child processes: they slow down each start, and write where other users may not. */
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

/** An answer with its whole body. */
export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

/** Exit status and output of a command. */
export interface Ended {
  status: number;
  stdout: string;
  stderr: string;
}

export interface NodeOptions {
  /** Environment variables, such as FIDFS_SYNC. */
  env?: Record<string, string>;
  /** An existing directory for all data; by default a new one. */
  directory?: string;
  /** User that starts it, if root runs the tests. */
  user?: { uid: number; gid: number };
  /** Limit of open descriptors of each of its processes. */
  descriptors?: number;
  /** Path of the fidfs command; by default this project's. */
  program?: string;
}

/** A node with a real nginx and daemon, in its own directory and on free ports. */
export class TestNode {
  readonly key = 'test-key-0123456789abcdef';
  /** Keep-alive nearly as long as nginx's: undici repeats a request that it sends just as it closes an idle connection. */
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

  /** Creates a node without starting it. After the test it is stopped and removed; if the test fails, its log is printed. */
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

  /** Creates and starts a node. */
  static async start(t: Test, options: NodeOptions = {}): Promise<TestNode> {
    const node = await TestNode.create(t, options);
    await node.start();
    return node;
  }

  /** Changes its environment from the next start on. */
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

  /** The path of a file in this node's store path, whether it exists or not. */
  pathOf(id: string): string {
    return join(this.storePath, 'data', id.split('/').slice(2).join('/'));
  }

  /** Whether a file is on this node's own disk. */
  hasFile(id: string): boolean {
    return existsSync(this.pathOf(id));
  }

  /** The output of nginx and the daemon so far. */
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
      // The default reserve of 5 % has its own test; the disk that runs the tests may be fuller.
      FIDFS_RESERVE: '1MiB',
      ...this.extra,
    };
  }

  /** Starts it; resolves when it listens, ready or not. Rejects with its output if it exits before. */
  async start(): Promise<void> {
    const limit = this.descriptors === undefined ? [] : ['prlimit', `--nofile=${this.descriptors}`];
    const child = spawn('env', [...WITHOUT_OPTIONS, ...limit, process.execPath, this.program, 'start'], {
      env: { ...process.env, ...this.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // In its own process group, as from a shell, so that a test can simulate Ctrl-C.
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

  /** Closes its output, as when a terminal is closed. */
  hangUp(): void {
    this.process?.stdout?.destroy();
    this.process?.stderr?.destroy();
  }

  /** Sends a signal and resolves when it has exited. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
    this.process = undefined;
  }

  /** Resolves with its exit status, or with the signal that ended it. */
  async ended(): Promise<number | NodeJS.Signals | null> {
    const child = this.process;
    if (!child) throw new Error('the node was not started');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return child.exitCode ?? child.signalCode;
  }

  /** The process id of the daemon. */
  daemonPid(): number {
    return childrenOf(this.pid).find((pid) => commandLine(pid).includes('daemon/main.js')) ?? 0;
  }

  /** Every process of the node: supervisor, daemon, nginx's master and workers. */
  pids(): number[] {
    const children = childrenOf(this.pid);
    return [this.pid, ...children, ...children.flatMap(childrenOf)];
  }

  /** Stops every process of the node by SIGSTOP, also one that nginx is just starting; returns their ids. */
  freeze(): number[] {
    const frozen = new Set<number>();
    for (let found = this.pids(); found.some((pid) => !frozen.has(pid)); found = this.pids()) {
      for (const pid of found) {
        process.kill(pid, 'SIGSTOP');
        frozen.add(pid);
      }
    }
    return [...frozen];
  }

  /** Kills the daemon with SIGKILL; resolves when it has been restarted and is ready. */
  async killDaemon(): Promise<void> {
    process.kill(this.daemonPid(), 'SIGKILL');
    await this.until(async () => this.daemonPid() !== 0 && (await this.get('/readyz')).status === 200, 'ready again');
  }

  /** Polls a condition every 20 ms; rejects after `seconds`. */
  async until(condition: () => boolean | Promise<boolean>, what: string, seconds = 30): Promise<void> {
    const end = Date.now() + seconds * 1000;
    while (!(await condition())) {
      if (Date.now() > end) throw new Error(`not ${what} within ${seconds} seconds`);
      await sleep(20);
    }
  }

  /** Sends any request to nginx and reads the whole answer. Rejects if docs/openapi.yaml describes another one. */
  async request(
    path: string,
    options: Omit<Dispatcher.RequestOptions, 'origin' | 'path'> & { origin?: string },
  ): Promise<Answer> {
    const { origin = this.origin, ...rest } = options;
    const answer = await request(origin + path, { dispatcher: this.agent, ...rest });
    const body = Buffer.from(await answer.body.arrayBuffer());
    const whole = { status: answer.statusCode, headers: answer.headers, body };
    if (origin === this.origin) this.assertDescribed(rest.method, path, rest.headers ?? {}, whole);
    return whole;
  }

  /** Throws if docs/openapi.yaml describes another answer; does nothing for the node of another version. */
  assertDescribed(method: string, path: string, headers: object, answer: Answer): void {
    if (this.program !== COMMAND) return;
    assertDescribed({ method, path, headers, publicUrl: this.extra.FIDFS_PUBLIC_URL }, answer);
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

  /** Sends a raw upload; resolves with any answer. */
  post(body: Dispatcher.DispatchOptions['body'], query = '', headers: Record<string, string> = {}): Promise<Answer> {
    return this.request(`/upload${query}`, { method: 'POST', body: body ?? null, headers: this.authorized(headers) });
  }

  /** Sends a raw upload; rejects unless the answer is 201. */
  async upload(body: Buffer, query = ''): Promise<Uploaded> {
    const answer = await this.post(body, query);
    if (answer.status !== 201) throw new Error(`upload: ${answer.status} ${answer.body}`);
    return (JSON.parse(answer.body.toString()) as { files: [Uploaded] }).files[0];
  }

  /** Runs the `fidfs` command with this node's settings. */
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

  /** The answer that `fidfs status` prints, without the start of a process. Rejects if there is none. */
  status(): Promise<Status> {
    return new Client(loadSettings(undefined, this.env), undefined).status();
  }

  /** Whether `fidfs status` finds nothing wrong. */
  async isWell(): Promise<boolean> {
    const status = await this.status().catch(() => undefined);
    return status !== undefined && findingsOf(status).length === 0;
  }

  private async assertVerified(t: Test): Promise<void> {
    // The command becomes the owner of the data, which this process cannot undo.
    if (this.program === COMMAND && ownerOf(this.data) === undefined) {
      const { wrong } = await verify(loadSettings(undefined, this.env));
      t.strictSame(wrong, [], 'fidfs verify is clean');
      return;
    }
    const { status, stdout, stderr } = await this.command('verify');
    t.equal(status, 0, 'fidfs verify is clean', { found: stdout + stderr });
  }

  /**
   * Asserts that `fidfs verify` finds nothing wrong and that tmp/ and quarantine/ are empty.
   * @param isKilled whether the node was killed: then quarantine/ may have a torn upload that was never acknowledged
   */
  async assertClean(t: Test, { isKilled = false } = {}): Promise<void> {
    await this.assertVerified(t);
    for (const directory of isKilled ? ['tmp'] : ['tmp', 'quarantine']) {
      const path = join(this.storePath, directory);
      t.strictSame(existsSync(path) ? readdirSync(path) : [], [], `nothing is left in ${directory}`);
    }
  }
}

/** The files of an upload's 201. */
export function uploadedOf(answer: Answer): Uploaded[] {
  if (answer.status !== 201) throw new Error(`upload: ${answer.status} ${answer.body}`);
  return (JSON.parse(answer.body.toString()) as { files: Uploaded[] }).files;
}
