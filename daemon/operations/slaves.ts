import type { FileId } from '../../file-id/file-id.js';
import type { Peer } from '../cluster/cluster.js';
import type { Node } from '../status.js';
import { askGroup } from './deletions.js';
import { Problem } from './problems.js';
import { otherGroupFor } from './uploads.js';

/**
 * The node that is to take a slave: undefined if this node has its master, otherwise one that has it. Rejects with a Problem
 * (`not-found`, `unavailable`).
 * @param text the master's ID as a text
 */
export async function holderOf(
  master: FileId,
  text: string,
  node: Pick<Node, 'cluster' | 'store' | 'index' | 'copyPolicy'>,
): Promise<Peer | undefined> {
  const { cluster, store } = node;
  if (master.group !== cluster.ownGroup) {
    if (cluster.groups.includes(master.group)) return otherGroupFor(node, [master.group]);
    throw notFound();
  }
  if (store.holds(master)) return undefined;
  if (store.isDeleted(master)) throw notFound();
  const answers = await askGroup(text, node);
  const holder = answers.find(({ holds }) => holds === 'record' || holds === 'disk');
  if (holder) return holder.peer;
  if (answers.length < cluster.group.length)
    throw new Problem('unavailable', 'Not all nodes that may have the master can be asked now; try again later.');
  throw notFound();
}

function notFound(): Problem {
  return new Problem('not-found', 'The master is not here, or it is deleted.');
}
