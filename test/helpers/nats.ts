import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectTo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { Test } from 'tap';
import { freePort } from './ports.js';

/** The reason to skip a test that needs nats-server; false if it is there. */
export const WITHOUT_NATS =
  spawnSync('nats-server', ['--version']).error === undefined ? false : 'nats-server is not installed';

/** A real nats-server with JetStream, in a directory of its own. */
export class NatsServer {
  private process: ChildProcess | undefined;
  private output = '';

  private constructor(
    readonly directory: string,
    readonly port: number,
    private readonly options: string[],
  ) {}

  /** Starts a server. After the test it is stopped and removed. */
  static async start(t: Test, options: string[] = []): Promise<NatsServer> {
    const server = new NatsServer(mkdtempSync(join(tmpdir(), 'fidfs-nats-')), await freePort(), options);
    t.teardown(async () => {
      await server.kill();
      if (!t.passing()) t.comment(`log of nats-server:\n${server.output.slice(-5000)}`);
      rmSync(server.directory, { recursive: true, force: true });
    });
    await server.restart();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** Starts it again, with what it had stored; resolves when it listens. */
  async restart(): Promise<void> {
    const child = spawn(
      'nats-server',
      ['-a', '127.0.0.1', '-p', String(this.port), '-js', '-sd', this.directory, ...this.options],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    child.stderr.on('data', (chunk: Buffer) => {
      this.output += chunk;
    });
    this.process = child;
    for (let tries = 0; !(await this.isListening()); tries++) {
      if (tries > 500 || child.exitCode !== null) throw new Error(`nats-server does not listen:\n${this.output}`);
      await sleep(20);
    }
  }

  /** Kills it with SIGKILL. */
  async kill(): Promise<void> {
    const child = this.process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** Connects a client, which is closed after the test. */
  async client(t: Test): Promise<NatsConnection> {
    const connection = await connect({ servers: `127.0.0.1:${this.port}`, maxReconnectAttempts: -1 });
    t.teardown(() => connection.close());
    return connection;
  }

  private isListening(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connectTo(this.port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
  }
}
