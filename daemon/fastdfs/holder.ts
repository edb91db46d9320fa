import { z } from 'zod';
import type { FileId } from '../../file-id/file-id.js';
import type { Peer } from '../cluster/cluster.js';
import { Problem } from '../operations/problems.js';
import type { Node } from '../status.js';
import type { Addresses, StorageAddress } from './addresses.js';

const ASK_MILLISECONDS = 3000;

const answerSchema = z.object({ holds: z.string().nullable() });

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

/** Whether a node has a file; undefined if it does not say. */
async function hasFile({ client }: Peer, text: string): Promise<boolean | undefined> {
  try {
    const answer = await client.askJson('/holds', { query: { id: text }, timeout: ASK_MILLISECONDS });
    return answerSchema.parse(answer).holds !== null;
  } catch {
    return undefined; // it is down, or its settings are wrong, which the status says
  }
}

function notFound({ text }: { text: string }): Problem {
  return new Problem('not-found', `There is no file ${text}.`);
}
