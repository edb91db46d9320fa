import { createHmac } from 'node:crypto';
import { copyFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { addKey, keysFile, type NewKey, type Right } from '../../daemon/config/keys.js';
import { assertDescribed } from './description.js';
import type { Answer, TestNode } from './node.js';

/** Adds a named key, as `fidfs keys add` does; returns it. The node uses it within a second. */
export function makeKey(
  nodes: TestNode | readonly TestNode[],
  name: string,
  rights: readonly Right[],
  limits: Partial<NewKey> = {},
): string {
  const [first, ...others] = [nodes].flat() as [TestNode, ...TestNode[]];
  const more = { groups: undefined, maxFileSize: undefined, expires: undefined, ...limits };
  const { key } = addKey(first.data, { name, rights, ...more });
  for (const other of others) copyKeys(first, other);
  return key;
}

function copyKeys(from: TestNode, to: TestNode): void {
  copyFileSync(keysFile(from.data), keysFile(to.data));
}

let addresses = 0;

/** Resolves when the node accepts a key. Tries it from an address of its own, and seldom enough for one that is wrong. */
export async function usable(node: TestNode, key: string): Promise<void> {
  const client = new Elsewhere(`127.0.9.${++addresses}`);
  const url = `${node.origin}/group1/M00/00/00/AQAAAGsCiLOAAAAqAAAD6HTj-0E417.jpg`;
  try {
    await node.until(async () => {
      await sleep(200);
      return (await client.request(url, 'DELETE', bearer(key))).status !== 401;
    }, 'using the key');
  } finally {
    await client.close();
  }
}

export function bearer(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` };
}

/** The time in seconds since 1970, and `seconds` later. */
export function inSeconds(seconds: number): number {
  return Math.floor(Date.now() / 1000) + seconds;
}

/** Makes a JWT without a library. `alg` other than HS256 changes the header, and "none" leaves out the signature. */
export function token(
  secret: string,
  claims: Record<string, unknown>,
  { alg = 'HS256', ...header }: Record<string, unknown> = {},
): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const text = `${encode({ alg, ...header })}.${encode(claims)}`;
  const hash = alg === 'HS384' ? 'sha384' : 'sha256';
  return `${text}.${alg === 'none' ? '' : createHmac(hash, secret).update(text).digest('base64url')}`;
}

/** Sends requests from another address of this machine. */
export class Elsewhere {
  private readonly agent: Agent;

  constructor(address: string) {
    this.agent = new Agent({ localAddress: address });
  }

  async request(url: string, method: string, headers: Record<string, string>, body?: string | Buffer): Promise<Answer> {
    const options = { method: method as 'GET', headers, body: body ?? null, dispatcher: this.agent };
    const answer = await request(url, options);
    const whole = {
      status: answer.statusCode,
      headers: answer.headers,
      body: Buffer.from(await answer.body.arrayBuffer()),
    };
    assertDescribed({ method, path: new URL(url).pathname, headers, publicUrl: undefined }, whole);
    return whole;
  }

  close(): Promise<void> {
    return this.agent.destroy();
  }
}
