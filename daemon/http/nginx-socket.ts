import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { Socket } from 'node:net';

/** What both servers of the daemon take. */
export const HTTP_OPTIONS = {
  // nginx passes on what HTTP/1.0 clients leave out.
  requireHostHeader: false,
  // All that nginx lets through (large_client_header_buffers, 4 of 8 KiB by default) and what it adds; Node's own limit is 16 KiB.
  maxHeaderSize: 64 * 1024,
};

/** The daemon's second ear: a socket in the data directory, for nginx. */
export interface NginxSocket {
  listen(path: string): Promise<void>;
  /** Takes no new connections and waits for the requests under way. */
  close(): Promise<void>;
}

/** Makes it; requests and unreadable ones go where those of the daemon's own server go. */
export function createNginxSocket(
  answer: RequestListener,
  answerUnreadable: (error: Error, socket: Socket) => void,
): NginxSocket {
  // As fastify's own server: no end to an upload's length, and connections that outlive nginx's (60 seconds).
  const server = createServer({ ...HTTP_OPTIONS, requestTimeout: 0, keepAliveTimeout: 72_000 }, answer);
  server.on('clientError', (error, socket) => answerUnreadable(error, socket as Socket));
  return {
    async listen(path) {
      rmSync(path, { force: true }); // left by a crash; the data directory is locked, so nobody listens there
      server.listen({ path, backlog: 4096 });
      await once(server, 'listening');
      // For an nginx of another user, where the data directory lets his group in (access.ts).
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
