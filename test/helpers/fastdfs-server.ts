import type { Test } from 'tap';
import { WireClient } from './fastdfs-client.js';
import { type NodeOptions, TestNode } from './node.js';
import { freePort } from './ports.js';

/** A node that serves FastDFS's protocol on loopback addresses. */
export class WireServer {
  constructor(
    private readonly t: Test,
    readonly node: TestNode,
    readonly trackerPort: number,
    readonly storagePort: number,
  ) {}

  /** A connection to its tracker, closed after the test at the latest. */
  toTracker(): Promise<WireClient> {
    return this.open(this.trackerPort);
  }

  /** A connection to its storage server, closed after the test at the latest. */
  toStorage(): Promise<WireClient> {
    return this.open(this.storagePort);
  }

  private async open(port: number): Promise<WireClient> {
    const client = await WireClient.connect(port);
    this.t.teardown(() => client.close());
    return client;
  }
}

/** The settings of the protocol, on free ports. */
export async function wireSettings(): Promise<{ env: Record<string, string>; tracker: number; storage: number }> {
  const [tracker, storage] = [await freePort(), await freePort()];
  const env = { FIDFS_FASTDFS_TRACKER: `127.0.0.1:${tracker}`, FIDFS_FASTDFS_STORAGE: `127.0.0.1:${storage}` };
  return { env, tracker, storage };
}

/** Makes an existing node serve the protocol from its next start on. */
export async function serveWire(t: Test, node: TestNode): Promise<WireServer> {
  const { env, tracker, storage } = await wireSettings();
  node.configure(env);
  return new WireServer(t, node, tracker, storage);
}

/** Creates and starts a node that serves the protocol. */
export async function startWire(t: Test, options: NodeOptions = {}): Promise<WireServer> {
  const wire = await serveWire(t, await TestNode.create(t, options));
  await wire.node.start();
  await wire.node.until(async () => (await wire.node.get('/readyz')).status === 200, 'ready');
  return wire;
}
