import { createServer, request } from 'node:http';
import type { Test } from 'tap';
import type { TestNode } from './node.js';
import { listening } from './ports.js';

/** Changes the body of an answer with status 200 from the source; `url` is that of the follower's request. */
export type Transform = (url: string, body: Buffer) => Buffer | Promise<Buffer>;

/** Puts a proxy between a follower and its source, which is node 1 of group1. Must be called before both start. */
export async function proxyBetween(t: Test, follower: TestNode, source: TestNode, transform: Transform): Promise<void> {
  const proxy = createServer((asked, answer) => {
    const { method, url = '', headers } = asked;
    const passed = request({ host: '127.0.0.1', port: source.port, method, path: url, headers });
    passed.on('response', async (from) => {
      const chunks: Buffer[] = [];
      for await (const chunk of from) chunks.push(chunk as Buffer);
      const whole = Buffer.concat(chunks);
      const body = from.statusCode === 200 ? await transform(url, whole) : whole;
      const { 'transfer-encoding': _, ...kept } = from.headers;
      const length = method === 'HEAD' ? {} : { 'content-length': body.length };
      answer.writeHead(from.statusCode ?? 502, { ...kept, ...length }).end(body);
    });
    passed.on('error', () => answer.destroy());
    asked.on('close', () => asked.complete || passed.destroy());
    answer.on('close', () => passed.destroy());
    asked.pipe(passed);
  });
  const port = await listening(t, proxy);
  follower.configure({ FIDFS_PEERS: `1@group1=http://127.0.0.1:${port}` });
}
