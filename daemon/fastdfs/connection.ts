import type { Socket } from 'node:net';
import {
  CommonCommand,
  HEADER_LENGTH,
  type Header,
  invalid,
  OutcomeUnknown,
  parseHeader,
  replyHeader,
  Status,
  WireError,
} from './codec.js';
import { statusOf } from './errors.js';
import { type ByteSink, ClientGone, SocketReader } from './socket-reader.js';

/**
 * Bytes of a refused request that are read and dropped, so that the connection can go on; beyond that it is closed. FastDFS closes
 * after every status 22, which breaks pools of connections.
 */
const LONGEST_REST = 16 * 2 ** 20;

/** The body of a request. Reads past its end throw a WireError (22). */
export class Body {
  constructor(
    private readonly reader: SocketReader,
    /** Bytes that have not been read. */
    public left: number,
  ) {}

  /** The next `count` bytes. */
  read(count: number): Promise<Buffer> {
    this.reserve(count);
    return this.reader.read(count);
  }

  /** The whole rest of the body, of at most `limit` bytes. */
  rest(limit: number): Promise<Buffer> {
    if (this.left > limit) throw invalid(`the body is longer than ${limit} bytes`);
    return this.read(this.left);
  }

  /** Passes the rest of the body on as it arrives. */
  async stream(sink: ByteSink): Promise<void> {
    // Counted down as it is received: after an error of the sink the rest has to be dropped.
    const counting = {
      write: (chunk: Buffer) => {
        this.left -= chunk.length;
        return sink.write(chunk);
      },
    };
    await this.reader.stream(this.left, counting);
  }

  private reserve(count: number): void {
    if (count > this.left) throw invalid('the body is shorter than its fields');
    this.left -= count;
  }
}

/** A request whose body is still to be read. */
export interface Request {
  command: number;
  flags: number;
  body: Body;
  /** Address of this node that the client is connected to, and of the client. */
  localAddress: string;
  remoteAddress: string;
}

/** A whole reply with its header, or the body of one in parts. */
export type Reply = Buffer | { length: number; chunks: AsyncIterable<Buffer> };

/** Answers one request. A rejection becomes a reply with a status; one with `OutcomeUnknown` closes the connection. */
export type Handler = (request: Request) => Promise<Reply> | Reply;

/** What a connection needs of its server. */
export interface Host {
  handlers: ReadonlyMap<number, Handler>;
  isStopping(): boolean;
  /** Told that a connection waits for its next request. */
  becameIdle(connection: Connection): void;
  /** Told of every request that was refused. */
  refused(error: unknown, request: Request): void;
}

/** Serves one connection of a client, one request at a time. */
export class Connection {
  /** Whether no request is under way. */
  isIdle = true;
  /** Number of requests received. */
  requests = 0;
  private readonly reader: SocketReader;
  private isSending = false;
  /** Counts at the last look of `isTooSlow`. */
  private before: { received: number; requests: number; unsent: number } | undefined;

  constructor(
    private readonly socket: Socket,
    private readonly host: Host,
  ) {
    this.reader = new SocketReader(socket);
  }

  /** Serves requests until the connection ends. Never rejects. */
  async run(): Promise<void> {
    try {
      while (!this.host.isStopping() && (await this.next())) {
        // one request after another
      }
      // Not only ended: a client that does not close its side would keep the connection.
      this.socket.destroySoon();
    } catch (error) {
      // The connection is unusable: the client is gone, the body of a reply could not be read to its end, or there is no reply.
      this.socket.destroy();
      if (!(error instanceof ClientGone)) this.host.refused(error, this.requestOf({ command: 0, flags: 0 }, 0));
    }
  }

  /** Closes the connection at once. */
  destroy(): void {
    this.socket.destroy();
  }

  /**
   * Whether the client has not begun a request since the connection was made, has sent less than `least` bytes of a request or
   * taken nothing of an answer since the last call.
   */
  isTooSlow(least: number): boolean {
    const { before } = this;
    const { received } = this.reader;
    const unsent = this.isSending ? this.socket.writableLength : 0;
    this.before = { received, requests: this.requests, unsent };
    if (!before || before.requests !== this.requests) return false;
    if (unsent > 0) return before.unsent === unsent;
    if (this.isIdle && !this.reader.hasBytes) return this.requests === 0;
    return this.reader.isWaiting && received - before.received < least;
  }

  /** Serves one request. Resolves with false when the connection ends. */
  private async next(): Promise<boolean> {
    this.isIdle = true;
    this.host.becameIdle(this);
    if (!(await this.reader.fill(HEADER_LENGTH))) return false;
    this.isIdle = false;
    this.requests++;
    const header = parseHeader(this.reader.take(HEADER_LENGTH));
    if (header.command === CommonCommand.quit) return false;
    if (header.length === undefined) {
      await this.write(replyHeader(0, Status.invalid));
      return false;
    }
    const request = this.requestOf(header, header.length);
    const reply = await this.answer(request);
    const { left } = request.body;
    const goesOn = left <= LONGEST_REST;
    if (goesOn && left > 0 && !(await this.reader.skip(left))) return false;
    await this.send(reply, request);
    if (goesOn) return true;
    // A client that is still sending would lose the reply if the connection were closed now.
    this.socket.end();
    await this.reader.skip(Math.min(left, LONGEST_REST));
    return false;
  }

  private requestOf({ command, flags }: Pick<Header, 'command' | 'flags'>, length: number): Request {
    const { localAddress = '', remoteAddress = '' } = this.socket;
    return { command, flags, body: new Body(this.reader, length), localAddress, remoteAddress };
  }

  private async answer(request: Request): Promise<Reply> {
    try {
      const handler = this.host.handlers.get(request.command);
      if (!handler) throw new WireError(Status.invalid, `command ${request.command} is not one that clients send here`);
      return await handler(request);
    } catch (error) {
      if (error instanceof ClientGone || error instanceof OutcomeUnknown) throw error;
      this.host.refused(error, request);
      return replyHeader(0, statusOf(error));
    }
  }

  private async send(reply: Reply, request: Request): Promise<void> {
    this.isSending = true;
    if (Buffer.isBuffer(reply)) await this.write(reply);
    else await this.sendParts(reply, request);
    this.isSending = false;
  }

  /** Sends the header with the first part of the body: if that cannot be read, the reply is a status. */
  private async sendParts({ length, chunks }: Exclude<Reply, Buffer>, request: Request): Promise<void> {
    let header: Buffer | undefined = replyHeader(length, Status.ok);
    try {
      for await (const chunk of chunks) {
        if (header) this.socket.cork();
        if (header) this.socket.write(header);
        const written = this.write(chunk);
        if (header) this.socket.uncork();
        header = undefined;
        await written;
      }
    } catch (error) {
      if (!header || error instanceof ClientGone) throw error;
      this.host.refused(error, request);
      await this.write(replyHeader(0, statusOf(error)));
    }
  }

  /** Writes, and waits until the client has taken enough for more. Rejects with ClientGone. */
  private write(bytes: Buffer): Promise<void> | undefined {
    if (this.socket.destroyed) throw new ClientGone('the client went away before its answer was whole');
    if (this.socket.write(bytes)) return undefined;
    return new Promise((resolve, reject) => {
      const done = () => {
        this.socket.off('drain', done).off('close', done);
        if (this.socket.destroyed) reject(new ClientGone('the client went away before its answer was whole'));
        else resolve();
      };
      this.socket.on('drain', done).on('close', done);
    });
  }
}
