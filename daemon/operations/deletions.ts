import type { FileId } from '../../file-id/file-id.js';
import type { Peer } from '../cluster/cluster.js';
import { PeerError } from '../cluster/peer-client.js';
import type { Node } from '../status.js';
import { StoreError } from '../store/errors.js';
import { keyOf } from '../store/names.js';
import { type Deleted, type DeletionRequest, forwardDeletion } from './forward-deletion.js';
import { assertConditions } from './preconditions.js';
import { Problem } from './problems.js';

const ASK_MILLISECONDS = 3000;

/** What deleting a file needs of the node. */
export type DeletionParts = Pick<Node, 'settings' | 'store' | 'cluster' | 'copyPolicy' | 'replication'>;

/** Deletes a file of any group. Rejects with a Problem or a StoreError. */
export async function deleteAnywhere(request: DeletionRequest, node: DeletionParts): Promise<Deleted> {
  const { cluster } = node;
  const { group } = request.id;
  if (group === cluster.ownGroup) return deleteHereOrByPeer(request, node);
  const peers = cluster.upFirst(group);
  if (peers.length === 0) throw notFound();
  return forwardDeletion(request, peers, node.settings);
}

/**
 * Deletes a file of this node's group. If this node has no record of the file, asks the other nodes of the group: it may not
 * have been replicated here yet. Rejects with a Problem or a StoreError.
 */
export async function deleteHere(request: DeletionRequest, node: DeletionParts): Promise<Deleted> {
  const { id, text, conditions, keepsSlaves } = request;
  const { store, copyPolicy } = node;
  const isMissingHere = store.isMissing(id);
  if (isMissingHere || store.holds(id)) assertConditions(conditions, id, store);
  // Also deletes a file that is recorded as missing, which no node may have any more.
  const removed = await store.remove(id, isMissingHere, keepsSlaves);
  if (removed) return confirm(text, await copyPolicy.waitForDeletion(removed), node);
  if (store.isDeleted(id)) return deleteAgain(id, text, node);
  return deleteElsewhere(request, node);
}

/** As `deleteHere`; if this node's store cannot record deletions now, passes the request on to another node of the group. */
export async function deleteHereOrByPeer(request: DeletionRequest, node: DeletionParts): Promise<Deleted> {
  try {
    return await deleteHere(request, node);
  } catch (error) {
    const others = node.cluster.group.filter(({ isUp }) => isUp);
    if (!(error instanceof StoreError) || error.code === 'invalid' || others.length === 0) throw error;
    return forwardDeletion(request, others, node.settings);
  }
}

function confirm(id: string, copies: number, { settings }: DeletionParts): Deleted {
  return { id, copies, wanted: settings.copies };
}

/**
 * Answers for a file that is already deleted: 404 if its deletion is durable on enough nodes, otherwise the outcome again. So a
 * client whose deletion was only accepted can repeat the request to any node until the deletion is replicated.
 */
async function deleteAgain(id: FileId, text: string, node: DeletionParts): Promise<Deleted> {
  const { copies } = node.settings;
  if (copies === 1) throw notFound();
  await node.copyPolicy.deletionSettled(keyOf(id.name));
  // The deletion may have come from a peer and not be durable here yet.
  await node.store.writer.commit({});
  const answers = await askGroup(text, node);
  const known = 1 + answers.filter(({ deleted }) => deleted).length;
  if (known >= copies) throw notFound();
  return confirm(text, known, node);
}

/**
 * Looks for the file on the other nodes of the group. If one has a record of it, writes the tombstone here, from where it is
 * replicated.
 */
async function deleteElsewhere(request: DeletionRequest, node: DeletionParts): Promise<Deleted> {
  const { id, text, conditions, keepsSlaves } = request;
  const { cluster, store, copyPolicy, replication, settings } = node;
  const answers = await askGroup(text, node);
  if (answers.some(({ holds, lacks }) => holds === 'record' || lacks)) {
    assertConditions(conditions, id, store);
    const removed = await store.remove(id, true, keepsSlaves);
    if (removed) return confirm(text, await copyPolicy.waitForDeletion(removed), node);
    throw notFound();
  }
  // A foreign file is not replicated: the node that has it deletes it.
  const foreign = answers.find(({ holds }) => holds === 'disk');
  if (foreign) return forwardDeletion(request, [foreign.peer], settings);
  if (answers.length < cluster.group.length || replication.readiness.lag !== undefined) {
    throw new Problem('unavailable', 'Not all nodes of the group can be asked for this file now; try again later.');
  }
  throw notFound();
}

export interface PeerAnswer {
  peer: Peer;
  /** As `Store.holds`. */
  holds: unknown;
  /** Whether the node records the file as missing and fetches it; nodes of earlier versions do not send this. */
  lacks: boolean;
  /** Whether the deletion is durable on that node. */
  deleted: boolean;
}

/** Asks the other nodes of the group for a file; leaves out those that cannot be reached. */
export async function askGroup(text: string, { cluster }: Pick<Node, 'cluster'>): Promise<PeerAnswer[]> {
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
