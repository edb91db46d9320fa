import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import type { Test } from 'tap';

/** Below the ephemeral ports: an outgoing connection could otherwise take the port of a node that restarts. */
const PORTS = 10_000;
/** Concurrent test files use different parts of the range, because a port may be chosen long before it is used. */
const PARTS = 4;
const PART = Number(process.env.TAP_JOB_ID ?? Math.floor(Math.random() * PARTS)) % PARTS;
const FIRST_PORT = 10_000 + (PART * PORTS) / PARTS;
const LAST_PORT = FIRST_PORT + PORTS / PARTS - 1;

/** The only one of these that browsers and `fetch` refuse (a bad port, https://fetch.spec.whatwg.org/#port-blocking). */
const REFUSED_PORT = 10_080;

const given = new Set<number>([REFUSED_PORT]);

/** A loopback port that is free now and was not returned before, of the default range or the given one. */
export async function freePort(first = FIRST_PORT, last = LAST_PORT): Promise<number> {
  // Starts at a random port, because other tests search at the same time.
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

/** Makes a server listen on a free loopback port until the end of the test; resolves with the port. */
export async function listening(t: Test, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  return (server.address() as AddressInfo).port;
}
