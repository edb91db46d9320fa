import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { FileId } from '../../file-id/file-id.js';
import type { Peer } from '../cluster/cluster.js';
import { PeerError } from '../cluster/peer-client.js';
import type { Node } from '../status.js';
import { formatMetadata, type MetadataRecord, mergeMetadata, parseMetadata } from '../store/metadata.js';
import { keyOf, metadataName } from '../store/names.js';
import { assertCaughtUp, changerOf } from './changer.js';
import { Problem } from './problems.js';
import { assertUploadsAreTaken } from './uploads.js';

/** Time beyond `copyTimeout` within which another node answers, in milliseconds. */
const ANSWER_MILLISECONDS = 5000;
/** Limit for a change that another node made to reach this one, in milliseconds, and the interval of looking at it. */
const ARRIVAL_MILLISECONDS = 1000;
const LOOK_MILLISECONDS = 10;

export type MetadataParts = Pick<Node, 'settings' | 'store' | 'cluster' | 'index' | 'copyPolicy' | 'replication'>;

/** A change of a file's metadata: all records, or those to merge into what it has. No records at all remove the metadata. */
export interface MetadataChange {
  records: readonly MetadataRecord[];
  isMerge: boolean;
}

/** The outcome of a change. */
export interface MetadataSet {
  id: string;
  /** The number of nodes on which it is durable, and on which it should be: the setting `copies`. */
  copies: number;
  wanted: number;
}

/** As `MetadataSet`, with the version of the metadata, which nodes of earlier versions do not send. */
const setSchema = z.object({
  ...{ id: z.string(), copies: z.number(), wanted: z.number() },
  version: z.number().optional(),
});
const toldSchema = z.object({ metadata: z.base64() });
/** The body of a change that is passed on to a peer. */
export const metadataChangeSchema = z.object({ metadata: z.base64(), isMerge: z.boolean() });

/**
 * The metadata of a file of any group, in FastDFS's form; empty if it has none. Rejects with a Problem (`not-found`,
 * `unavailable`).
 * @param text the ID as a text
 */
export async function readMetadata(id: FileId, text: string, node: MetadataParts): Promise<Buffer> {
  if (isHere(id, node)) return readMetadataHere(id, node);
  const told = await askOthers(id, node, ({ client }) => client.askJson('/metadata', { query: { id: text } }));
  return Buffer.from(toldSchema.parse(told).metadata, 'base64');
}

/** As `readMetadata`, of a file of this node. */
export function readMetadataHere(id: FileId, node: MetadataParts): Buffer {
  if (!isHere(id, node)) throw notFound();
  return node.store.metadata(id) ?? Buffer.alloc(0);
}

/**
 * Changes the metadata of a file of any group, on the node that `changerOf` names while it is up, so that a merge finds what an earlier
 * one made; otherwise on this node, or on another one that has the file. Rejects with a Problem or a StoreError.
 */
export async function setMetadata(
  id: FileId,
  text: string,
  change: MetadataChange,
  node: MetadataParts,
): Promise<MetadataSet> {
  const { records, isMerge } = change;
  const body = Buffer.from(JSON.stringify({ metadata: formatMetadata(records).toString('base64'), isMerge }));
  const timeout = node.settings.copyTimeout + ANSWER_MILLISECONDS;
  const ask = ({ client }: Peer) => client.askJson('/metadata', { method: 'POST', query: { id: text }, body, timeout });
  if (!isHere(id, node)) return toSet(setSchema.parse(await askOthers(id, node, ask)));
  const changer = changerOfHere(id, node);
  try {
    const set = changer && setSchema.parse(await ask(changer));
    if (set) await arrival(id, set.version, node);
    if (set) return toSet(set);
  } catch (error) {
    // It is lost or does not have the file. If it made the change nevertheless, the same change again does no harm.
    if (!(error instanceof PeerError)) throw error;
  }
  return toSet(await setMetadataHere(id, text, change, node));
}

/** As `setMetadata` for a peer: changes the metadata of a file of this node. */
export async function setMetadataHere(
  id: FileId,
  text: string,
  { records, isMerge }: MetadataChange,
  node: MetadataParts,
): Promise<MetadataSet & { version: number | undefined }> {
  const { store, copyPolicy, settings } = node;
  if (!isHere(id, node)) throw notFound();
  assertUploadsAreTaken(node);
  if (isMerge) assertCaughtUp(node);
  const stored = await store.updateMetadata(id, (current) =>
    formatMetadata(isMerge ? mergeMetadata(parseMetadata(current ?? Buffer.alloc(0)), records) : records),
  );
  await copyPolicy.waitForAcknowledgements([stored]);
  const { version } = stored;
  return { id: text, copies: copyPolicy.copiesOf(stored), wanted: settings.copies, version };
}

function toSet({ id, copies, wanted }: MetadataSet): MetadataSet {
  return { id, copies, wanted };
}

/** The peer that changes the metadata of a file of this node, if it is up; undefined if it is this node. */
function changerOfHere({ source }: FileId, { settings, cluster }: MetadataParts): Peer | undefined {
  const peer = cluster.peer(changerOf(source, settings));
  return peer?.isUp ? peer : undefined;
}

/** Resolves when this node has a version of a file's metadata, so that it can be read here, or after `ARRIVAL_MILLISECONDS`. */
async function arrival({ name }: FileId, version: number | undefined, { index, store }: MetadataParts): Promise<void> {
  const key = keyOf(metadataName(name));
  const isHere = () => version === undefined || (index.find(key)?.version ?? 0) >= version;
  for (const end = Date.now() + ARRIVAL_MILLISECONDS; !isHere() && Date.now() < end; ) await sleep(LOOK_MILLISECONDS);
  // Its batch gives the file its name after the record.
  await store.writer.commit({});
}

function isHere(id: FileId, { store }: Pick<Node, 'store'>): boolean {
  return store.holds(id) !== undefined;
}

/** Asks the other nodes of a file's group in turn, until one has the file. */
async function askOthers(id: FileId, node: MetadataParts, ask: (peer: Peer) => Promise<unknown>): Promise<unknown> {
  let cause: unknown;
  for (const peer of node.cluster.peersOf(id.group)) {
    try {
      return await ask(peer);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      if (error.status !== 404) cause = error;
    }
  }
  if (cause === undefined) throw notFound();
  throw new Problem('unavailable', 'Not all nodes that may have this file can be asked now; try again later.', {
    cause,
  });
}

function notFound(): Problem {
  return new Problem('not-found', 'No such file here, or it is deleted already.');
}
