import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import type { Test } from 'tap';

/** From 10,000 on: below the ports that systems give to outgoing connections, which could take that of a node that restarts. */
const PORTS = 10_000;
/** Test files that run at the same time take them from different parts: a port may be asked for long before it is used. */
const PARTS = 4;
const PART = Number(process.env.TAP_JOB_ID ?? Math.floor(Math.random() * PARTS)) % PARTS;
const FIRST_PORT = 10_000 + (PART * PORTS) / PARTS;
const LAST_PORT = FIRST_PORT + PORTS / PARTS - 1;

const given = new Set<number>();

/** A loopback port that was free a moment ago, and was not asked for before: any that a server can come back to, or one of a range. */
export async function freePort(first = FIRST_PORT, last = LAST_PORT): Promise<number> {
  // From anywhere in the range on, as other tests look at the same time.
  const start = Math.floor(Math.random() * (last - first + 1));
  for (let step = 0; step <= last - first; step++) {
    const port = first + ((start + step) % (last - first + 1));
    if (given.has(port)) continue;
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch {
      continue; // taken
    }
    server.close();
    await once(server, 'close');
    given.add(port);
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
