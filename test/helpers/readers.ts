import { createHmac } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import fileId from '../../file-id/file-id.js';
import type { TestNode } from './node.js';

/** The peer secret of all nodes of a test. */
export const PEER_SECRET = 'peer-secret-0123456789abcdef';

/** A peer as a test describes it. */
export interface Other {
  id: number;
  group: string;
  url: string;
  /** Whether the file of its group marks it as up; default true. */
  up?: boolean;
  /** Its resolved address, if its url has a host name. */
  origin?: string;
}

/** Environment variables of a node that has these peers. */
export function peerSettings(serverId: number, group: string, others: Other[]): Record<string, string> {
  return {
    FIDFS_SERVER_ID: String(serverId),
    FIDFS_GROUP: group,
    FIDFS_PEERS: others.map(({ id, group: theirs, url }) => `${id}@${theirs}=${url}`).join(','),
    FIDFS_PEER_SECRET: PEER_SECRET,
    FIDFS_COPIES: '1',
  };
}

/** The groups of the tests. */
const GROUPS = ['group1', 'group2', 'group3'];

/** Writes the files of all groups as the daemon does. The daemon must have been killed before, because it would overwrite them. */
export function tell(node: TestNode, others: Other[]): void {
  for (const group of new Set([...GROUPS, ...others.map((other) => other.group)])) {
    const members = others.filter((other) => other.group === group);
    const nodes = members.map(({ id, url, up = true, origin = url }) => {
      return [id, { origin, host: url.replace(/^https?:\/\//, ''), up, well: true }] as const;
    });
    writeCluster(node, JSON.stringify({ version: 2, nodes: Object.fromEntries(nodes) }), undefined, [group]);
  }
}

/** Writes any text as the files of groups, and as their second copies. */
export function writeCluster(node: TestNode, text: string, last = text, groups: readonly string[] = GROUPS): void {
  const directory = join(node.data, 'nginx/cluster');
  mkdirSync(directory, { recursive: true });
  for (const group of groups) {
    for (const [name, content] of [
      [`${group}.json`, text],
      [`${group}.json.last`, last],
    ] as const) {
      writeFileSync(join(directory, 'test'), content);
      renameSync(join(directory, 'test'), join(directory, name));
    }
  }
}

/** Kills a node's daemon and stops its supervisor until the end of the test, so that the daemon is not restarted. */
export async function killDaemonForGood(t: Test, node: TestNode): Promise<void> {
  const { pid } = node;
  process.kill(pid, 'SIGSTOP');
  t.teardown(() => process.kill(pid, 'SIGCONT'));
  process.kill(node.daemonPid(), 'SIGKILL');
  await node.until(async () => (await node.get('/readyz')).status === 503, 'without a daemon');
}

/** An ID of no existing file, unless the test creates one. */
export function madeUpId(parts: { group?: string; source?: number; size?: number; counter?: number } = {}): string {
  const { group = 'group1', source = 1, size = 1000, counter = 0 } = parts;
  const key = fileId.encodeKey({ serverId: source, created: 1_795_328_179, size, crc32: 7, counter });
  return fileId.join(group, 0, 5, key.toString('base64url') + fileId.makeTail('jpg', counter));
}

/** The value of the header that marks a download request from one node to another. */
export function markOf(id: string, sender: number, receiver: number, secret = PEER_SECRET): string {
  const readKey = createHmac('sha256', secret).update('fidfs read mark').digest('hex');
  const hmac = createHmac('sha256', readKey).update(`read\n/${id}\n${sender}\n${receiver}`).digest('hex');
  return `${sender} ${hmac}`;
}
