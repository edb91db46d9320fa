import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import type { Test } from 'tap';

/** Below the ports that systems give to outgoing connections: one of those could take the port of a node that restarts. */
const FIRST_PORT = 10_000;
const LAST_PORT = 32_000;

/** A loopback port that was free a moment ago: any that a server can come back to, or one of a range. */
export async function freePort(first = FIRST_PORT, last = LAST_PORT): Promise<number> {
  // From anywhere in the range on, as other tests look at the same time.
  const start = Math.floor(Math.random() * (last - first + 1));
  for (let step = 0; step <= last - first; step++) {
    const port = first + ((start + step) % (last - first + 1));
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch {
      continue; // taken
    }
    server.close();
    await once(server, 'close');
    return port;
  }
  throw new Error(`no port from ${first} to ${last} is free`);
}

/** Lets a server of the test listen on a free loopback port until the test's end. */
export async function listening(t: Test, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  return (server.address() as AddressInfo).port;
}
