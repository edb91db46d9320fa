import { BlockList, createServer, isIPv6, type Server, type Socket } from 'node:net';
import type { Logger } from 'pino';
import { type Address, formatAddress, type Settings } from '../config/settings.js';
import type { Observer } from '../operations/observer.js';
import type { Node } from '../status.js';
import { Addresses, plainAddress } from './addresses.js';
import { CommonCommand, replyHeader, Status } from './codec.js';
import { Connection, type Handler, type Host, type Request } from './connection.js';
import { statusOf } from './errors.js';
import { Storage } from './storage.js';
import { Tracker } from './tracker.js';

/** Connections at the same time, for each of the two addresses; beyond that the one that has been idle longest is closed. */
const MOST_CONNECTIONS = 4096;
/** In this time a client must begin its first request, send this many bytes of one, or take some of an answer. */
const LOOK_MILLISECONDS = 30_000;
const LEAST_BYTES = 30 * 1024;
const KEEP_ALIVE_MILLISECONDS = 60_000;

/** FastDFS's protocol on the addresses of the settings. */
export interface FastdfsServer {
  /** Rejects with the error of the socket; its message names the setting. */
  listen(): Promise<void>;
  /** Closes idle connections and takes no new ones. Requests under way are answered; then their connections are closed. */
  drain(): void;
  close(): Promise<void>;
}

/** Creates the servers of FastDFS's protocol; without the settings for it they listen nowhere. */
export function createFastdfs(node: Node, observer: Observer, log: Logger): FastdfsServer {
  const { settings } = node;
  const addresses = new Addresses(settings, node.cluster);
  const doors: Door[] = [];
  const open = (name: string, address: Address | undefined, handlers: ReadonlyMap<number, Handler>) => {
    if (address) doors.push(new Door(name, address, handlers, node, addresses, log));
  };
  open('fastdfsTracker', settings.fastdfsTracker, new Tracker(node, addresses).handlers);
  const storage = new Storage(node, addresses, observer).handlers;
  open(
    'fastdfsStorage',
    settings.fastdfsStorage,
    new Map([...storage].map(([command, one]) => [command, counted(one, node)])),
  );
  return {
    listen: async () => {
      for (const door of doors) await door.listen();
    },
    drain: () => {
      for (const door of doors) door.drain();
    },
    close: async () => {
      await Promise.all(doors.map((door) => door.close()));
    },
  };
}

/** Counts a request until its answer is sent, so that a drain waits for it. */
function counted(handler: Handler, { underWay }: Pick<Node, 'underWay'>): Handler {
  return async (request) => {
    const answered = underWay.begin();
    let isSentLater = false;
    try {
      const reply = await handler(request);
      if (Buffer.isBuffer(reply)) return reply;
      isSentLater = true;
      return { ...reply, chunks: andThen(reply.chunks, answered) };
    } finally {
      if (!isSentLater) answered();
    }
  };
}

/** Passes the chunks on, and calls `done` when the last one was taken, or no more are wanted. */
async function* andThen(chunks: AsyncIterable<Buffer>, done: () => void): AsyncGenerator<Buffer> {
  try {
    yield* chunks;
  } finally {
    done();
  }
}

/** One listening address and its connections. */
class Door implements Host {
  readonly handlers: ReadonlyMap<number, Handler>;
  private readonly server: Server;
  private readonly permitted: BlockList;
  /** In the order in which they became idle last. */
  private readonly connections = new Set<Connection>();
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly setting: string,
    private readonly address: Address,
    handlers: ReadonlyMap<number, Handler>,
    private readonly node: Pick<Node, 'settings' | 'underWay' | 'cluster'>,
    private readonly addresses: Addresses,
    private readonly log: Logger,
  ) {
    this.handlers = new Map([...handlers, [CommonCommand.activeTest, () => replyHeader(0, Status.ok)]]);
    this.permitted = networksOf(node.settings);
    this.server = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MILLISECONDS },
      (socket) => this.accept(socket),
    );
    node.underWay.onRefuseBodies(() => {
      for (const connection of this.connections) connection.destroy();
    });
    this.timer = setInterval(() => {
      for (const connection of this.connections) if (connection.isTooSlow(LEAST_BYTES)) connection.destroy();
    }, LOOK_MILLISECONDS).unref();
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      const failed = (error: Error) =>
        reject(
          new Error(
            `cannot listen on ${formatAddress(this.address)} (${this.setting}): ${error.message}; end what listens there, or write another address`,
            { cause: error },
          ),
        );
      this.server.once('error', failed);
      this.server.listen({ ...this.address, backlog: 1024 }, () => {
        this.server.off('error', failed);
        this.server.on('error', (error) => this.log.error({ err: error }, 'a connection could not be accepted'));
        resolve();
      });
    });
  }

  drain(): void {
    this.server.close();
    for (const connection of this.connections) if (connection.isIdle) connection.destroy();
  }

  close(): Promise<void> {
    clearInterval(this.timer);
    for (const connection of this.connections) connection.destroy();
    return new Promise((resolve) => {
      // Not listening any more after a drain; then it is closed when its last connection is.
      this.server.close(() => resolve());
    });
  }

  isStopping(): boolean {
    return this.node.underWay.isStopping;
  }

  becameIdle(connection: Connection): void {
    // Not one that was closed in the meantime.
    if (this.connections.delete(connection)) this.connections.add(connection);
  }

  refused(error: unknown, { command, remoteAddress }: Request): void {
    const status = statusOf(error);
    const context = { protocol: 'fastdfs', command, status, client: plainAddress(remoteAddress) };
    if (status === Status.failed) this.log.error({ ...context, err: error }, 'a request failed');
    // A file that does not exist is an answer like others.
    else if (status !== Status.notFound) this.log.warn({ ...context, reason: (error as Error).message }, 'refused');
  }

  private accept(socket: Socket): void {
    socket.on('error', () => {}); // the reader sees the end of the connection
    const client = plainAddress(socket.remoteAddress ?? '');
    if (this.isStopping() || !this.isPermitted(client)) {
      if (!this.isStopping())
        this.log.warn({ client, setting: this.setting }, 'a connection from outside of fastdfsFrom was closed');
      socket.destroy();
      return;
    }
    if (this.connections.size >= MOST_CONNECTIONS && !this.dropIdle()) {
      socket.destroy();
      return;
    }
    const connection = new Connection(socket, this);
    this.connections.add(connection);
    socket.once('close', () => this.connections.delete(connection));
    void connection.run();
  }

  private isPermitted(client: string): boolean {
    // Other nodes forward commands.
    return this.permitted.check(client, isIPv6(client) ? 'ipv6' : 'ipv4') || this.addresses.isPeer(client);
  }

  /** Closes the oldest idle connection. Returns false if none is idle. */
  private dropIdle(): boolean {
    for (const connection of this.connections) {
      if (!connection.isIdle) continue;
      this.connections.delete(connection);
      connection.destroy();
      return true;
    }
    return false;
  }
}

function networksOf({ fastdfsFrom }: Pick<Settings, 'fastdfsFrom'>): BlockList {
  const list = new BlockList();
  for (const network of fastdfsFrom) {
    const [address = '', bits] = network.split('/');
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}
