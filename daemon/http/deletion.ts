import type { FastifyReply } from 'fastify';
import type { FileId } from '../../file-id/file-id.js';
import { PeerError } from '../cluster/peer-client.js';
import type { Node } from '../status.js';
import { StoreError } from '../store/errors.js';
import { forwardDeletion } from './forward.js';
import { Problem } from './problems.js';

/** Deletes a file of any group, and answers 204 when it is gone from the nodes that can be reached. */
export async function deleteAnywhere(id: FileId, text: string, reply: FastifyReply, node: Node): Promise<FastifyReply> {
  const { cluster } = node;
  if (id.group === cluster.ownGroup) return deleteHereOrByPeer(id, text, reply, node);
  const members = cluster.membersOf(id.group);
  if (members.length === 0) throw notFound();
  return forwardDeletion(
    text,
    reply,
    [...members].sort((one, other) => Number(other.isUp) - Number(one.isUp)),
  );
}

/** Deletes a file of this node's group. What is not here may be on a node that has not been followed yet. */
export async function deleteHere(id: FileId, text: string, reply: FastifyReply, node: Node): Promise<void> {
  const { store, replication } = node;
  const removed = (await store.remove(id)) ?? (await deleteElsewhere(id, text, node));
  if (removed) await replication.spread(removed);
  reply.code(204).send();
}

/** The same, for a client: where the disk of this node takes no deletions now, another node does it. */
async function deleteHereOrByPeer(id: FileId, text: string, reply: FastifyReply, node: Node): Promise<FastifyReply> {
  try {
    await deleteHere(id, text, reply, node);
    return reply;
  } catch (error) {
    const others = node.cluster.group.filter(({ isUp }) => isUp);
    if (!(error instanceof StoreError) || others.length === 0) throw error;
    return forwardDeletion(text, reply, others);
  }
}

/** Finds a peer that has the file. Where it has a record of it, the file is deleted here, for all nodes. */
async function deleteElsewhere(id: FileId, text: string, { cluster, store, replication }: Node) {
  if (store.isDeleted(id)) throw notFound();
  const answers = await Promise.all(
    cluster.group.map(async ({ client }) => {
      const told = await client.askJson('/holds', { query: { id: text }, timeout: 3000 }).catch((error: unknown) => {
        if (error instanceof PeerError) return undefined;
        throw error;
      });
      return { client, holds: (told as { holds?: unknown } | undefined)?.holds };
    }),
  );
  if (answers.some(({ holds }) => holds === 'record')) {
    const removed = await store.remove(id, true);
    if (!removed) throw notFound();
    return removed;
  }
  // A foreign file that only another node has: that one deletes it.
  const foreign = answers.find(({ holds }) => holds === 'disk');
  if (foreign) {
    await foreign.client.ask('/file', { method: 'DELETE', query: { id: text } });
    return undefined;
  }
  if (answers.some(({ holds }) => holds === undefined) || replication.lag !== undefined) {
    throw new Problem('unavailable', 'Not all nodes of the group can be asked for this file now; try again later.');
  }
  throw notFound();
}

function notFound(): Problem {
  return new Problem('not-found', 'No such file here, or it is deleted already.');
}
