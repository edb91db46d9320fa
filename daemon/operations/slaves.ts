import { z } from 'zod';
import type { FileId } from '../../file-id/file-id.js';
import type { Peer } from '../cluster/cluster.js';
import type { Node } from '../status.js';
import { assertCaughtUp, changerOf } from './changer.js';
import { askGroup } from './deletions.js';
import { Problem } from './problems.js';
import { assertUploadsAreTaken, otherGroupFor } from './uploads.js';

const ASK_MILLISECONDS = 3000;

const answerSchema = z.object({ holds: z.string().nullable() });

/** Whether a node has a file; undefined if it does not say. */
export async function hasFile({ client }: Peer, text: string): Promise<boolean | undefined> {
  try {
    const answer = await client.askJson('/holds', { query: { id: text }, timeout: ASK_MILLISECONDS });
    return answerSchema.parse(answer).holds !== null;
  } catch {
    return undefined; // it is down, or its settings are wrong, which the status says
  }
}

/**
 * The peer that takes the slaves of a file that this node has: the one that `changerOf` names, so that two nodes do not give one name
 * to different slaves at the same time. Undefined if that is this node, or if it is not up or does not have the file.
 * @param text the master's ID as a text
 */
export async function takerOf(
  { source }: FileId,
  text: string,
  { cluster, settings }: Pick<Node, 'cluster' | 'settings'>,
): Promise<Peer | undefined> {
  const peer = cluster.peer(changerOf(source, settings));
  return peer?.isUp && (await hasFile(peer, text)) ? peer : undefined;
}

/** Throws a Problem (`unavailable`) if this node cannot store a slave now: a peer may have given its name to another one. */
export function assertSlavesAreTaken(node: Pick<Node, 'index' | 'copyPolicy' | 'replication'>): void {
  assertUploadsAreTaken(node);
  assertCaughtUp(node);
}

/**
 * The node that is to take a slave: undefined if this node is, otherwise one that has its master. Rejects with a Problem
 * (`not-found`, `unavailable`).
 * @param text the master's ID as a text
 */
export async function holderOf(
  master: FileId,
  text: string,
  node: Pick<Node, 'cluster' | 'store' | 'index' | 'copyPolicy' | 'settings'>,
): Promise<Peer | undefined> {
  const { cluster, store } = node;
  if (master.group !== cluster.ownGroup) {
    if (cluster.groups.includes(master.group)) return otherGroupFor(node, [master.group]);
    throw notFound();
  }
  if (store.holds(master)) return takerOf(master, text, node);
  if (store.isDeleted(master)) throw notFound();
  const answers = await askGroup(text, node);
  const holder = answers.find(({ holds }) => holds === 'record' || holds === 'disk');
  if (holder) return holder.peer;
  if (answers.length < cluster.group.length)
    throw new Problem('unavailable', 'Not all nodes that may have the master can be asked now; try again later.');
  throw notFound();
}

function notFound(): Problem {
  return new Problem('not-found', 'There is no such master, or it is deleted.');
}
