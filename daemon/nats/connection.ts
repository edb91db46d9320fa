import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Authenticator, connect, type NatsConnection } from '@nats-io/transport-node';
import type { Settings } from '../config/settings.js';
import { fileAuthenticator } from './credentials.js';

/** How long one attempt to connect may take, and the pause before the next one, in milliseconds. */
const CONNECT_MILLISECONDS = 5000;
const PAUSE_MILLISECONDS = 1000;
/** A server that leaves two of these pings unanswered counts as gone, in milliseconds. */
const PING_MILLISECONDS = 10_000;

export type NatsSettings = Pick<Settings, 'nats' | 'natsCredentials' | 'natsCa'>;

/** The part of a log that the connection writes to. */
interface Log {
  info(context: object, message: string): void;
  warn(context: object, message: string): void;
}

/**
 * The connection to NATS, which is made again for as long as the node runs. Nothing waits for it: what uses it asks for `current`, and
 * does without NATS while that is undefined.
 */
export class Nats {
  private connection: NatsConnection | undefined;
  private isConnected = false;
  private reason: string | undefined = 'not connected yet';
  private readonly ending = new AbortController();
  private connecting: Promise<void> = Promise.resolve();
  private readonly listeners = new Set<() => void>();
  private readonly authenticator: Authenticator | undefined;

  /**
   * Does not connect yet. Throws if `natsCredentials` or `natsCa` cannot be read.
   * @param name what the servers show as the name of this client
   */
  constructor(
    private readonly settings: NatsSettings,
    private readonly name: string,
    private readonly log: Log,
  ) {
    const { natsCredentials, natsCa } = settings;
    this.authenticator = natsCredentials === undefined ? undefined : fileAuthenticator(natsCredentials);
    if (natsCa !== undefined) readCa(natsCa);
  }

  /** The connection, if it is up. */
  get current(): NatsConnection | undefined {
    return this.isConnected ? this.connection : undefined;
  }

  /** Human-readable reason why it is down; undefined while it is up. */
  get failure(): string | undefined {
    return this.reason;
  }

  /** Calls the listener whenever the connection is up or down. Returns the function that removes the listener. */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  start(): void {
    this.connecting = this.keepConnected();
  }

  /** Requests under way are rejected. */
  async stop(): Promise<void> {
    this.ending.abort();
    await this.connection?.close().catch(() => {});
    await this.connecting;
  }

  /** Connects, and again whenever the library has given up. Resolves after `stop`. */
  private async keepConnected(): Promise<void> {
    const { signal } = this.ending;
    while (!signal.aborted) {
      try {
        const connection = await this.connect();
        this.connection = connection;
        if (signal.aborted) await connection.close();
        else await this.watch(connection);
      } catch (error) {
        this.isDown((error as Error).message);
      }
      await sleep(PAUSE_MILLISECONDS, undefined, { signal }).catch(() => {});
    }
  }

  /** Connects once. Rejects if no server can be reached; the caller closes the connection. */
  connect(): Promise<NatsConnection> {
    const { nats, natsCa } = this.settings;
    const isTls = nats.some((url) => url.startsWith('tls://'));
    return connect({
      servers: nats.map((url) => url.slice(url.indexOf('://') + 3)),
      name: this.name,
      timeout: CONNECT_MILLISECONDS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: PAUSE_MILLISECONDS,
      // Credentials that are refused now may be accepted when the file or the server has changed.
      ignoreAuthErrorAbort: true,
      pingInterval: PING_MILLISECONDS,
      ...(this.authenticator && { authenticator: this.authenticator }),
      ...(isTls && { tls: natsCa === undefined ? {} : { ca: readCa(natsCa) } }),
    });
  }

  /** Follows the state of a connection. Resolves when it is closed for good. */
  private async watch(connection: NatsConnection): Promise<void> {
    this.isUp(connection);
    for await (const event of connection.status()) {
      if (event.type === 'disconnect') this.isDown(`the connection to ${event.server} is gone`);
      if (event.type === 'reconnect') this.isUp(connection);
      if (event.type === 'error' && !this.isConnected) this.reason = event.error.message;
    }
    this.isDown('the connection is closed');
  }

  private isUp(connection: NatsConnection): void {
    this.isConnected = true;
    this.reason = undefined;
    this.log.info({ server: connection.getServer() }, 'connected to NATS');
    for (const listener of this.listeners) listener();
  }

  private isDown(reason: string): void {
    const isNew = this.isConnected || this.reason !== reason;
    this.isConnected = false;
    this.reason = reason;
    if (this.ending.signal.aborted) return;
    if (isNew) this.log.warn({ reason }, 'not connected to NATS; this is retried, and nothing waits for it');
    for (const listener of this.listeners) listener();
  }
}

/** Throws an error that names the setting. */
function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`natsCa: ${(error as Error).message}`, { cause: error });
  }
}
