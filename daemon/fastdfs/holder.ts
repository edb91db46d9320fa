import type { FileId } from '../../file-id/file-id.js';
import type { Peer } from '../cluster/cluster.js';
import { Problem } from '../operations/problems.js';
import { hasFile, takerOf } from '../operations/slaves.js';
import type { Node } from '../status.js';
import type { Addresses, StorageAddress } from './addresses.js';

/**
 * Which other node takes a command about a file that this node does not have: the first that says that it has it, its source before the
 * others. Undefined if this node has it. So a command is forwarded once at most. Rejects with a Problem: not-found if no node has
 * it, unavailable if one that may have it cannot be asked, or serves no storage commands.
 */
export async function holderOf(
  id: FileId & { text: string },
  { store, cluster }: Pick<Node, 'store' | 'cluster'>,
  addresses: Addresses,
): Promise<StorageAddress | undefined> {
  if (store.holds(id) !== undefined) return undefined;
  if (id.group === cluster.ownGroup && store.isDeleted(id)) throw notFound(id);
  const { source } = id;
  const rank = (peer: Peer) => ('serverId' in source && source.serverId === peer.id ? 0 : 1);
  const peers = cluster.peersOf(id.group).toSorted((one, other) => rank(one) - rank(other));
  const answers = await Promise.all(peers.map((peer) => hasFile(peer, id.text)));
  const holder = peers.find((_, number) => answers[number]);
  const address = holder && addresses.of(holder);
  if (address) return address;
  if (holder) throw new Problem('unavailable', `Node ${holder.id}, which has ${id.text}, serves no storage commands.`);
  if (answers.every((answer) => answer === false)) throw notFound(id);
  throw new Problem('unavailable', 'A node that may have this file cannot be reached; try again.');
}

/** As `holderOf`, of the node that takes the slaves of a file. */
export async function slaveTakerOf(
  id: FileId & { text: string },
  node: Pick<Node, 'store' | 'cluster' | 'settings'>,
  addresses: Addresses,
): Promise<StorageAddress | undefined> {
  const taker = node.store.holds(id) === undefined ? undefined : await takerOf(id, id.text, node);
  return (taker && addresses.of(taker)) ?? holderOf(id, node, addresses);
}

function notFound({ text }: { text: string }): Problem {
  return new Problem('not-found', `There is no file ${text}.`);
}
