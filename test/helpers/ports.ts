import { once } from 'node:events';
import { createServer } from 'node:net';

/** A loopback port that was free a moment ago: any, or one of a range. */
export async function freePort(first = 0, last = 0): Promise<number> {
  for (let port = first; port <= last; port++) {
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch {
      continue; // taken
    }
    const address = server.address();
    server.close();
    await once(server, 'close');
    if (address && typeof address === 'object') return address.port;
  }
  throw new Error(`no port from ${first} to ${last} is free`);
}
