import type { FastifyReply } from 'fastify';
import fileId, { type FileId } from '../../file-id/file-id.js';
import type { Peer } from '../cluster/cluster.js';
import { PeerError } from '../cluster/peer-client.js';
import type { Node } from '../status.js';
import { StoreError } from '../store/errors.js';
import { forwardDeletion } from './forward.js';
import { assertConditions, type Conditions } from './preconditions.js';
import { Problem } from './problems.js';

const ASK_MILLISECONDS = 3000;

/**
 * Deletes a file of any group. Answers 204 when the deletion is durable on as many nodes as `copies`, 202 when on fewer.
 * Rejects with a Problem.
 */
export async function deleteAnywhere(
  id: FileId,
  text: string,
  reply: FastifyReply,
  node: Node,
  conditions: Conditions,
): Promise<FastifyReply> {
  const { cluster } = node;
  if (id.group === cluster.ownGroup) return deleteHereOrByPeer(id, text, reply, node, conditions);
  const peers = cluster.peersOf(id.group);
  if (peers.length === 0) throw notFound();
  return forwardDeletion(
    text,
    reply,
    [...peers].sort((one, other) => Number(other.isUp) - Number(one.isUp)),
    node.settings,
    conditions,
  );
}

/** Deletes a file of this node's group. What is not here may be on a node that has not been followed yet. */
export async function deleteHere(
  id: FileId,
  text: string,
  reply: FastifyReply,
  node: Node,
  conditions: Conditions,
): Promise<FastifyReply> {
  const { store, replication } = node;
  const isMissingHere = store.isMissing(id);
  if (isMissingHere || store.holds(id)) assertConditions(conditions, id, store);
  // A file that can be had from nobody any more is deleted as others are.
  const removed = await store.remove(id, isMissingHere);
  if (removed) return confirm(text, reply, await replication.spread(removed), node);
  if (store.isDeleted(id)) return deleteAgain(id, text, reply, node);
  return deleteElsewhere(id, text, reply, node, conditions);
}

/** The same, for a client: where the disk of this node takes no deletions now, another node does it. */
async function deleteHereOrByPeer(
  id: FileId,
  text: string,
  reply: FastifyReply,
  node: Node,
  conditions: Conditions,
): Promise<FastifyReply> {
  try {
    return await deleteHere(id, text, reply, node, conditions);
  } catch (error) {
    const others = node.cluster.group.filter(({ isUp }) => isUp);
    if (!(error instanceof StoreError) || others.length === 0) throw error;
    return forwardDeletion(text, reply, others, node.settings, conditions);
  }
}

/** Answers a deletion that is durable on so many nodes. */
function confirm(id: string, reply: FastifyReply, copies: number, { settings }: Node): FastifyReply {
  if (copies >= settings.copies) return reply.code(204).send();
  const body = `${JSON.stringify({ id, copies, wanted: settings.copies })}\n`;
  return reply.code(202).type('application/json').send(Buffer.from(body));
}

/**
 * A file that is deleted already: not found. A client that was told 202 learns from the same request what has become of
 * that, from any node and as often as it likes: 202 for as long as too few nodes know of the deletion.
 */
async function deleteAgain(id: FileId, text: string, reply: FastifyReply, node: Node): Promise<FastifyReply> {
  const { copies } = node.settings;
  if (copies === 1) throw notFound();
  await node.replication.spreading(fileId.keyOf(id.name));
  // This node may have it from a peer, and on its way to the disk.
  await node.store.writer.commit({});
  const answers = await askGroup(text, node);
  const known = 1 + answers.filter(({ deleted }) => deleted).length;
  if (known >= copies) throw notFound();
  return confirm(text, reply, known, node);
}

/** Finds a peer that has the file. Where it has a record of it, the file is deleted here, for all nodes. */
async function deleteElsewhere(
  id: FileId,
  text: string,
  reply: FastifyReply,
  node: Node,
  conditions: Conditions,
): Promise<FastifyReply> {
  const { cluster, store, replication, settings } = node;
  const answers = await askGroup(text, node);
  if (answers.some(({ holds, lacks }) => holds === 'record' || lacks)) {
    assertConditions(conditions, id, store);
    const removed = await store.remove(id, true);
    if (removed) return confirm(text, reply, await replication.spread(removed), node);
    throw notFound();
  }
  // A foreign file that only another node has: that one deletes it.
  const foreign = answers.find(({ holds }) => holds === 'disk');
  if (foreign) return forwardDeletion(text, reply, [foreign.peer], settings, conditions);
  if (answers.length < cluster.group.length || replication.lag !== undefined) {
    throw new Problem('unavailable', 'Not all nodes of the group can be asked for this file now; try again later.');
  }
  throw notFound();
}

interface Told {
  peer: Peer;
  /** As `Store.holds`. */
  holds: unknown;
  /** Whether it should be there, and is to be fetched; a node of an earlier version does not say. */
  lacks: boolean;
  /** Whether its deletion is durable there. */
  deleted: boolean;
}

/** What the other nodes of the group know of a file; those that cannot be asked are left out. */
async function askGroup(text: string, { cluster }: Node): Promise<Told[]> {
  const answers = cluster.group.map(async (peer) => {
    try {
      const options = { query: { id: text }, timeout: ASK_MILLISECONDS };
      const { holds, lacks, deleted } = (await peer.client.askJson('/holds', options)) as Record<string, unknown>;
      return [{ peer, holds, lacks: lacks === true, deleted: deleted === true }];
    } catch (error) {
      if (error instanceof PeerError) return [];
      throw error;
    }
  });
  return (await Promise.all(answers)).flat();
}

function notFound(): Problem {
  return new Problem('not-found', 'No such file here, or it is deleted already.');
}
