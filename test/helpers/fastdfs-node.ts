import type { Test } from 'tap';
import { WireClient } from './fastdfs-client.js';
import { type NodeOptions, TestNode } from './node.js';
import { freePort } from './ports.js';

/** A node that speaks FastDFS's protocol, and a client that is connected to its storage server. */
export interface WireNode {
  node: TestNode;
  client: WireClient;
  tracker: number;
  storage: number;
}

/** Starts a node with free ports for FastDFS's protocol. After the test everything is closed. */
export async function startWireNode(t: Test, { env = {}, ...options }: NodeOptions = {}): Promise<WireNode> {
  const [tracker, storage] = [await freePort(), await freePort()];
  const ports = { FIDFS_FASTDFS_TRACKER: `127.0.0.1:${tracker}`, FIDFS_FASTDFS_STORAGE: `127.0.0.1:${storage}` };
  const node = await TestNode.start(t, { ...options, env: { ...ports, ...env } });
  const client = await WireClient.connect(storage);
  t.teardown(() => client.close());
  return { node, client, tracker, storage };
}
