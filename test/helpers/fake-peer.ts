import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Test } from 'tap';
import { assertProblem } from './assert-problem.js';
import { type Answer, TestNode } from './node.js';
import { killDaemonForGood, type Other, peerSettings, tell } from './readers.js';

/** Listens on a free loopback port until the end of the test, and returns the port. */
export async function listen(t: Test, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

/** A fake peer: answers downloads as the test says, and records the requests. */
export class FakePeer {
  readonly requests: IncomingMessage[] = [];
  /** Answers a download; 404 unless the test replaces it. */
  answer: RequestListener = (_request, response) => response.writeHead(404).end();

  private constructor(
    readonly id: number,
    readonly port: number,
    readonly group: string,
  ) {}

  static async start(t: Test, id: number, group = 'group1'): Promise<FakePeer> {
    let peer: FakePeer | undefined;
    const server = createServer((asked, response) => {
      // Requests between daemons are not recorded.
      if (asked.url?.startsWith('/.fidfs/')) return response.writeHead(404).end();
      peer?.requests.push(asked);
      return peer?.answer(asked, response);
    });
    peer = new FakePeer(id, await listen(t, server), group);
    return peer;
  }

  get other(): Other {
    return { id: this.id, group: this.group, url: `http://127.0.0.1:${this.port}` };
  }

  /** The methods of the requests for a file. */
  asked(id: string): string[] {
    return this.requests.filter(({ url }) => url?.startsWith(`/${id}`)).map(({ method }) => String(method));
  }

  /** Answers all downloads with 200 and this content from now on. */
  hold(content: string): void {
    this.answer = (_request, response) => {
      response.writeHead(200, { 'content-length': content.length, 'content-type': 'text/plain' }).end(content);
    };
  }
}

/** Starts node 9 of group1 with these peers and kills its daemon, so that nginx alone serves downloads. */
export async function startReader(t: Test, others: Other[], env: Record<string, string> = {}): Promise<TestNode> {
  const node = await TestNode.start(t, { env: { ...peerSettings(9, 'group1', others), ...env } });
  await killDaemonForGood(t, node);
  tell(node, others);
  return node;
}

/** Resolves with the answer and the seconds that it took. */
export async function timed(asked: Promise<Answer>): Promise<[Answer, seconds: number]> {
  const begun = performance.now();
  return [await asked, (performance.now() - begun) / 1000];
}

/** Asserts a 503 with Retry-After. */
export function assertUnavailable(t: Test, answer: Answer, what: string): void {
  assertProblem(t, answer, 503, 'unavailable', what);
  t.match(answer.headers['retry-after'], /^\d+$/, `${what}: Retry-After`);
}
