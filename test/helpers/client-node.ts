import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { connect, createServer } from 'node:net';
import sharp from 'sharp';
import type { Test } from 'tap';
import { makeKey, usable } from './keys.js';
import { TestNode } from './node.js';
import { freePort, listening } from './ports.js';

const DOWNLOAD_KEY = 'download-key-0123456789';
/** Bytes of a request after which a lossy connection is reset. */
const LOST_AFTER = 1_000_000;

/** Starts a server that passes connections on to a port, and resets every second one while a long request is sent. Resolves with its address. */
async function lossy(t: Test, port: number): Promise<string> {
  let connections = 0;
  const server = createServer((socket) => {
    const isLost = ++connections % 2 === 0;
    const onward = connect(port, '127.0.0.1');
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (isLost && bytes > LOST_AFTER) socket.resetAndDestroy();
    });
    for (const one of [socket, onward]) one.on('error', () => {}); // reset
    socket.on('close', () => onward.destroy());
    onward.on('close', () => socket.destroy());
    socket.pipe(onward).pipe(socket);
  });
  return `http://127.0.0.1:${await listening(t, server)}`;
}

/** Starts a server that gives one answer to everything. Resolves with its address. */
async function answering(t: Test, answer: (response: ServerResponse) => void): Promise<string> {
  const server = createHttpServer((request, response) => {
    request.resume();
    request.on('end', () => answer(response));
  });
  t.teardown(() => server.closeAllConnections());
  return `http://127.0.0.1:${await listening(t, server)}`;
}

/** As a node which is not available. */
function unready(response: ServerResponse): void {
  const problem = {
    type: 'urn:fidfs:problem:unavailable',
    title: 'Not available now',
    status: 503,
    detail: 'starting',
  };
  response.writeHead(503, { 'content-type': 'application/problem+json', 'retry-after': '7' });
  response.end(JSON.stringify(problem));
}

/** As a node of a later version, with a field that is not known yet. */
function later(response: ServerResponse): void {
  const file = { id: 'group1/x', url: 'http://127.0.0.1/group1/x', size: 1, crc32: '00000000', sha256: '' };
  const body = JSON.stringify({ files: [{ ...file, created: '2026-11-22T08:38:49Z', copies: 1, later: [] }] });
  response.writeHead(201, { 'content-type': 'application/json' }).end(body);
}

/** Starts a node with private files, and what else the tests of a client need. Resolves with its environment variables. */
export async function clientNode(t: Test): Promise<{ node: TestNode; env: Record<string, string> }> {
  const node = await TestNode.start(t, {
    env: { FIDFS_DOWNLOADS: 'signed', FIDFS_DOWNLOAD_KEY: DOWNLOAD_KEY },
  });
  const signKey = makeKey(node, 'signer', ['sign']);
  await usable(node, signKey);
  const create = { width: 600, height: 600, channels: 3, background: '#c86432' } as const;
  const given = {
    servers: [`http://127.0.0.1:${await freePort()}`, node.origin],
    unready: await answering(t, unready),
    later: await answering(t, later),
    other: await answering(t, (response) => response.end('<html>It works!')),
    stalls: await answering(t, (response) => void response.writeHead(200, { 'content-length': 9 }).write('begins')),
    lossy: await lossy(t, node.port),
    key: node.key,
    signKey,
    downloadKey: DOWNLOAD_KEY,
    picture: (await sharp({ create }).png().toBuffer()).toString('latin1'),
  };
  return { node, env: { FIDFS_TEST: JSON.stringify(given), LC_ALL: 'C.UTF-8' } };
}
