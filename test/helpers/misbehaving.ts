import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';

/** What a client has to cope with, by the first part of the path. */
const WAYS: Record<string, (request: IncomingMessage, response: ServerResponse, node: string) => void> = {
  /** 503 with a problem document. */
  busy: (request, response) => {
    request.resume();
    const problem = { type: 'urn:fidfs:problem:unavailable', title: 'Not available now', status: 503 };
    response.writeHead(503, { 'content-type': 'application/problem+json', 'retry-after': '7' });
    response.end(JSON.stringify({ ...problem, detail: 'Just now not.' }));
  },
  /** Breaks the connection within the body, without an answer. */
  breaks: (request) => {
    request.once('data', () => request.socket.destroy());
    request.once('end', () => request.socket.destroy());
    request.resume();
  },
  /** Is no node. */
  alien: (request, response) => {
    request.resume();
    response.end('<html>It works!');
  },
  /** Breaks the connection within the answer. */
  short: (request, response) => {
    response.writeHead(200, { 'content-length': '1000' });
    response.write(Buffer.alloc(500), () => setTimeout(() => request.socket.destroy(), 50));
  },
  /** Passes everything on, but breaks the connection within the second piece of an upload, once. */
  flaky: (from, response, node) => {
    const breaks = from.method === 'PATCH' && from.headers['upload-offset'] !== '0' && !broken.has(from.url);
    if (breaks) broken.add(from.url);
    const to = request(node + (from.url ?? ''), { method: from.method, headers: from.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    to.on('error', () => response.destroy());
    let bytes = 0;
    from.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (breaks && bytes > 1_000_000) {
        to.destroy();
        from.socket.destroy();
      }
    });
    from.pipe(to);
  },
};
const broken = new Set<string | undefined>();

/** Starts a server that misbehaves until the end of the test; resolves with its address. Requests to /<way>/… are answered so. */
export async function startMisbehaving(t: Test, node: string): Promise<string> {
  const server = createServer((request, response) => {
    const [, way = '', rest = ''] = /^\/(\w+)(\/.*)?$/.exec(request.url ?? '') ?? [];
    request.url = rest;
    request.on('error', () => undefined);
    (WAYS[way] ?? WAYS.alien)?.(request, response, node);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
