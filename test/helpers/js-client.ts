import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Test } from 'tap';

/** The directory of the client's package. */
export const CLIENT = fileURLToPath(new URL('../../../clients/js', import.meta.url));

type Client = typeof import('../../clients/js/dist/index.js');

/** Loads the client as its package contains it. */
export async function loadClient(): Promise<Client> {
  return (await import(pathToFileURL(`${CLIENT}/dist/index.js`).href)) as Client;
}

/** Resolves with the FidfsError of a promise, as text. */
export async function failed(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  const { FidfsError } = await loadClient();
  if (!(error instanceof FidfsError)) throw new Error(`not a FidfsError: ${error}`);
  return `${error.status} ${error.problem}`;
}

/** Starts a server that answers everything with this status; resolves with its address and the paths of its requests. */
export async function refusing(t: Test, status: number, retryAfter: string): Promise<{ url: string; paths: string[] }> {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    paths.push(`${request.method} ${request.url}`);
    request.resume();
    response.writeHead(status, { 'Retry-After': retryAfter }).end('not here');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, paths };
}
