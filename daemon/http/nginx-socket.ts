import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { Socket } from 'node:net';

/** Limits of both servers of the daemon. */
export const HTTP_OPTIONS = {
  // nginx forwards requests of HTTP/1.0 clients without a Host header.
  requireHostHeader: false,
  // Enough for what nginx accepts (large_client_header_buffers, 4 of 8 KiB by default) and adds; Node's default is 16 KiB.
  maxHeaderSize: 64 * 1024,
};

/** The daemon's second listener: a Unix socket in the data directory, for nginx. */
export interface NginxSocket {
  listen(path: string): Promise<void>;
  /** Stops accepting connections and resolves when all requests are answered. */
  close(): Promise<void>;
}

/** Creates the listener, which passes requests and unparsable ones to the handlers of the daemon's own server. */
export function createNginxSocket(
  answer: RequestListener,
  answerUnreadable: (error: Error, socket: Socket) => void,
): NginxSocket {
  // As fastify's own server: no limit for the duration of an upload, and a keep-alive longer than nginx's (60 seconds).
  const server = createServer({ ...HTTP_OPTIONS, requestTimeout: 0, keepAliveTimeout: 72_000 }, answer);
  server.on('clientError', (error, socket) => answerUnreadable(error, socket as Socket));
  return {
    async listen(path) {
      rmSync(path, { force: true }); // left by a crash: this process holds the lock of the data directory
      server.listen({ path, backlog: 4096 });
      await once(server, 'listening');
      // For an nginx that runs as another user, if the data directory is open to its group (access.ts).
      chmodSync(path, 0o660);
    },
    async close() {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}
