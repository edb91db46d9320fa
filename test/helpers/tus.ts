import { request } from 'undici';
import type { Answer, TestNode } from './node.js';

/** Sends a request as a tus client; `url` is a path or a whole address. */
export async function tus(
  node: TestNode,
  method: 'POST' | 'HEAD' | 'PATCH' | 'DELETE' | 'OPTIONS',
  url: string,
  headers: Record<string, string> = {},
  body?: Buffer,
): Promise<Answer> {
  const all = { ...node.authorized({ 'tus-resumable': '1.0.0' }), ...headers };
  const options = { method, headers: all, body: body ?? null, dispatcher: node.agent };
  const address = new URL(url, node.origin);
  const answer = await request(address, options);
  const received = Buffer.from(await answer.body.arrayBuffer());
  const whole = { status: answer.statusCode, headers: answer.headers, body: received };
  if (address.origin === node.origin) node.assertDescribed(method, address.pathname, all, whole);
  return whole;
}

/** Creates an upload of `size` bytes; resolves with its path. */
export async function begin(node: TestNode, size: number, headers: Record<string, string> = {}): Promise<string> {
  const answer = await tus(node, 'POST', '/tus/', { 'upload-length': String(size), ...headers });
  if (answer.status !== 201) throw new Error(`begin: ${answer.status} ${answer.body}`);
  return String(answer.headers.location);
}

/** Sends bytes at an offset (PATCH). */
export function send(
  node: TestNode,
  upload: string,
  offset: number,
  bytes: Buffer,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const type = { 'content-type': 'application/offset+octet-stream' };
  return tus(node, 'PATCH', upload, { ...type, 'upload-offset': String(offset), ...headers }, bytes);
}

/** Resolves with an upload's offset, and with the ID of its file if it is complete. */
export async function stateOf(node: TestNode, upload: string): Promise<{ offset: number; id: string | undefined }> {
  const { status, headers } = await tus(node, 'HEAD', upload);
  if (status !== 200) throw new Error(`HEAD ${upload}: ${status}`);
  const id = headers['fidfs-id'];
  return { offset: Number(headers['upload-offset']), id: id === undefined ? undefined : String(id) };
}

/** The `Upload-Metadata` header with a file name. */
export function named(name: string): Record<string, string> {
  return { 'upload-metadata': `filename ${Buffer.from(name).toString('base64')}` };
}
