import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Test } from 'tap';

/** How a link between two nodes treats the bytes. */
export type LinkState =
  | 'up'
  /** Connections are reset, open ones included. */
  | 'cut'
  /** Connections are accepted and never answered. */
  | 'silent'
  /** Answers are not valid HTTP. */
  | 'garbage'
  /** Answers arrive at about 20 KB per second. */
  | 'slow'
  /** Some bytes in the bodies of answers are changed. */
  | 'corrupt';

const SLOW_BYTES = 1000;
const SLOW_MILLISECONDS = 50;

/** A TCP proxy between two nodes, whose state the test sets. */
export class Link {
  state: LinkState = 'up';
  /** Bytes of answers forwarded. */
  bytes = 0;
  /** Bytes of requests forwarded. */
  sent = 0;
  /** Called after each chunk of a request. */
  onSent: () => void = () => {};
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly target: () => number,
  ) {}

  /** Opens a link to a port; closed after the test. With a certificate it accepts TLS. */
  static async open(t: Test, target: () => number, certificate?: { cert: Buffer; key: Buffer }): Promise<Link> {
    const server = certificate ? createTlsServer(certificate) : createServer();
    const link = new Link(server, target);
    server.on(certificate ? 'secureConnection' : 'connection', (socket: Socket) => link.take(socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => {
      link.set('cut');
      server.close();
    });
    return link;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Sets the state for new connections and closes the open ones. */
  set(state: LinkState): void {
    this.state = state;
    for (const socket of this.sockets) socket.destroy();
  }

  private take(socket: Socket): void {
    this.keep(socket);
    if (this.state === 'cut') socket.resetAndDestroy();
    else if (this.state === 'garbage') socket.once('data', () => socket.end('\u0000HTTP/1.1 7 noise\r\n\u00ff'));
    else if (this.state !== 'silent') this.join(socket);
  }

  private join(socket: Socket): void {
    const onward = connect(this.target(), '127.0.0.1');
    this.keep(onward);
    socket.pipe(onward);
    socket.on('data', (chunk: Buffer) => {
      this.sent += chunk.length;
      this.onSent();
    });
    onward.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
    });
    onward.on('close', () => socket.destroy());
    socket.on('close', () => onward.destroy());
    if (this.state === 'slow') void trickle(onward, socket);
    else if (this.state === 'corrupt') corrupt(onward, socket);
    else onward.pipe(socket);
  }

  private keep(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => {}); // closed by this link, or by a killed node
  }
}

async function trickle(from: Socket, to: Socket): Promise<void> {
  try {
    for await (const chunk of from) {
      for (let offset = 0; offset < chunk.length; offset += SLOW_BYTES) {
        to.write(chunk.subarray(offset, offset + SLOW_BYTES));
        await new Promise((resolve) => setTimeout(resolve, SLOW_MILLISECONDS));
      }
    }
  } catch {
    to.destroy(); // cut
  }
}

/**
 * Forwards answers with some bytes of file bodies changed. Leaves headers and JSON intact, including the JSON at the
 * beginning of a log page, so that the node stays up and its answers are read.
 */
function corrupt(from: Socket, to: Socket): void {
  /** Bytes of the answer that are still forwarded unchanged. */
  let sound = 0;
  let isPage = false;
  from.on('data', (chunk: Buffer) => {
    const end = chunk.indexOf('\r\n\r\n');
    const head = chunk.subarray(0, end < 0 ? 0 : end).toString('latin1');
    if (end >= 0) {
      isPage = !/^etag:/im.test(head);
      sound = end + 4 + (/^content-type: application\/json/im.test(head) ? Number.POSITIVE_INFINITY : 0);
    }
    // A page begins with the length of its JSON.
    if (isPage && chunk.length >= sound + 4) {
      sound += 4 + chunk.readUInt32BE(sound);
      isPage = false;
    }
    const wrong = Buffer.from(chunk);
    for (let offset = sound + 600; offset < wrong.length; offset += 997)
      wrong[offset] = (wrong[offset] as number) ^ 0x55;
    sound = Math.max(0, sound - chunk.length);
    to.write(wrong);
  });
}
