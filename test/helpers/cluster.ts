import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { Link, type LinkState } from './link.js';
import { type NodeOptions, TestNode } from './node.js';

/** Limit for a node to become ready. */
const READY_SECONDS = 60;

/** Options of a test cluster. */
export interface ClusterOptions {
  /** The group of each node: ['group1', 'group1', 'group2']. */
  groups: readonly string[];
  /** Settings of all nodes. */
  env?: Record<string, string>;
  /** Path of the fidfs command of all nodes; by default this project's. */
  program?: string;
}

/** The links between the nodes of a cluster, by the indexes of the nodes. */
export type Links = (from: number, to: number) => Link;

/** As `createCluster`, with links between the nodes whose state the test can set. */
export async function createLinkedCluster(
  t: Test,
  options: ClusterOptions,
): Promise<{ nodes: TestNode[]; links: Links }> {
  const nodes = await createCluster(t, options);
  const made = new Map<string, Link>();
  for (const [from, node] of nodes.entries()) {
    const peers: string[] = [];
    for (const [to, other] of nodes.entries()) {
      if (to === from) continue;
      const link = await Link.open(t, () => other.port);
      made.set(`${from} ${to}`, link);
      peers.push(`${to + 1}@${options.groups[to]}=${link.url}`);
    }
    node.configure({ FIDFS_PEERS: peers.join(',') });
  }
  return { nodes, links: (from, to) => made.get(`${from} ${to}`) as Link };
}

/** Sets the state of all links between two sets of nodes, in both directions. */
export function setBetween(links: Links, some: readonly number[], others: readonly number[], state: LinkState): void {
  for (const one of some) {
    for (const other of others) {
      links(one, other).set(state);
      links(other, one).set(state);
    }
  }
}

/** Creates the nodes of a cluster, with server ids from 1 and each other as peers; does not start them. */
export async function createCluster(t: Test, { groups, env = {}, program }: ClusterOptions): Promise<TestNode[]> {
  const nodes: TestNode[] = [];
  for (const [index, group] of groups.entries()) {
    const own = { FIDFS_SERVER_ID: String(index + 1), FIDFS_GROUP: group, FIDFS_PEER_SECRET: 'peer-secret-0123456789' };
    const options: NodeOptions = { env: { ...own, ...env }, ...(program === undefined ? {} : { program }) };
    nodes.push(await TestNode.create(t, options));
  }
  const peers = nodes.map(({ origin }, index) => `${index + 1}@${groups[index]}=${origin}`);
  for (const [index, node] of nodes.entries()) {
    node.configure({ FIDFS_PEERS: peers.filter((_, other) => other !== index).join(',') });
  }
  return nodes;
}

/** Starts nodes; resolves when all are ready and have all their peers marked as up. */
export async function startAll(nodes: readonly TestNode[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.start()));
  for (const node of nodes) {
    await ready(node);
    await node.until(() => seesAllUp(node), 'aware of its peers', READY_SECONDS);
    // A peer that was seen down during the start is compared again.
    await ready(node);
  }
}

/** Whether a node has all its peers marked as up. */
export function seesAllUp(node: TestNode): boolean {
  return clusterFiles(join(node.data, 'nginx')).every((file) => {
    const { nodes } = JSON.parse(readFileSync(file, 'utf8')) as { nodes: Record<string, { up: boolean }> };
    return Object.values(nodes).every(({ up }) => up);
  });
}

/** The cluster files of a node; a node of 0.1 has one for all groups. */
function clusterFiles(nginx: string): string[] {
  const one = join(nginx, 'cluster.json');
  if (existsSync(one)) return [one];
  const directory = join(nginx, 'cluster');
  return readdirSync(directory)
    .filter((name) => name.endsWith('.json'))
    .map((name) => join(directory, name));
}

/** Creates and starts a cluster; resolves when all nodes are ready. */
export async function startCluster(t: Test, options: ClusterOptions): Promise<TestNode[]> {
  const nodes = await createCluster(t, options);
  await startAll(nodes);
  return nodes;
}

/** Resolves when the node answers /readyz with 200. */
export function ready(node: TestNode): Promise<void> {
  const isReady = () =>
    node.get('/readyz').then(
      ({ status }) => status === 200,
      () => false,
    );
  return node.until(isReady, 'ready', READY_SECONDS);
}

/** Resolves when the files are in the node's own store path. */
export function holds(node: TestNode, ids: readonly string[], seconds = READY_SECONDS): Promise<void> {
  return node.until(() => ids.every((id) => node.hasFile(id)), 'in possession of the files', seconds);
}
