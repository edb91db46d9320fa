import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { Link, type LinkState } from './link.js';
import { type NodeOptions, TestNode } from './node.js';

/** Waits by requests and looks, so it is kept short. */
const READY_SECONDS = 60;

/** What a test's cluster is to be. */
export interface ClusterOptions {
  /** The group of each node: ['group1', 'group1', 'group2']. */
  groups: readonly string[];
  /** Settings of all nodes. */
  env?: Record<string, string>;
  /** The fidfs command of all nodes, where it is not this project's. */
  program?: string;
}

/** The ways between the nodes of a cluster, by the indexes of the nodes. */
export type Links = (from: number, to: number) => Link;

/** As `createCluster`, with links between the nodes that the test can spoil. */
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

/** Cuts all ways between some nodes and the others, or mends them. */
export function setBetween(links: Links, some: readonly number[], others: readonly number[], state: LinkState): void {
  for (const one of some) {
    for (const other of others) {
      links(one, other).set(state);
      links(other, one).set(state);
    }
  }
}

/** Makes the nodes of a cluster, server ids from 1 on, which know each other; none is started. */
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

/** Starts nodes and waits until all are ready, and know that all of their peers are up. */
export async function startAll(nodes: readonly TestNode[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.start()));
  for (const node of nodes) {
    await ready(node);
    await node.until(() => seesAllUp(node), 'aware of its peers', READY_SECONDS);
  }
}

function seesAllUp(node: TestNode): boolean {
  const { nodes } = JSON.parse(readFileSync(join(node.data, 'nginx/cluster.json'), 'utf8')) as {
    nodes: Record<string, { up: boolean }>;
  };
  return Object.values(nodes).every(({ up }) => up);
}

/** A running cluster whose nodes are all ready. */
export async function startCluster(t: Test, options: ClusterOptions): Promise<TestNode[]> {
  const nodes = await createCluster(t, options);
  await startAll(nodes);
  return nodes;
}

/** Resolves when a node takes uploads and has what its peers have. */
export function ready(node: TestNode): Promise<void> {
  const isReady = () =>
    node.get('/readyz').then(
      ({ status }) => status === 200,
      () => false,
    );
  return node.until(isReady, 'ready', READY_SECONDS);
}

/** Resolves when a node itself holds a file, whatever the others would serve. */
export function holds(node: TestNode, ids: readonly string[], seconds = READY_SECONDS): Promise<void> {
  return node.until(() => ids.every((id) => node.hasFile(id)), 'in possession of the files', seconds);
}
