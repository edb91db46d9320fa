import type { Dispatcher } from 'undici';
import { z } from 'zod';
import type { FileId } from '../../file-id/file-id.js';
import type { Peer } from '../cluster/cluster.js';
import { PEER_PREFIX } from '../cluster/peer-client.js';
import type { Settings } from '../config/settings.js';
import type { Conditions } from './preconditions.js';
import { isProblemName, Problem } from './problems.js';

/** Milliseconds beyond `copyTimeout` within which a deletion is answered. */
export const DELETION_MILLISECONDS = 10_000;

/** The outcome of a deletion. */
export interface Deleted {
  id: string;
  /** The number of nodes on which the deletion is durable. */
  copies: number;
  /** The number on which it should be: the setting `copies`. With fewer the deletion counts as accepted only. */
  wanted: number;
}

/** A request to delete a file. */
export interface DeletionRequest {
  id: FileId;
  /** The ID as the client sent it. */
  text: string;
  conditions: Conditions;
  /** Whether to keep the file's slaves, which are deleted with it otherwise. */
  keepsSlaves: boolean;
}

const deletedSchema = z.object({ id: z.string(), copies: z.number(), wanted: z.number() });
const problemSchema = z.object({ type: z.string(), detail: z.string() });

/**
 * Forwards a deletion to the nodes of the file's group in turn, until one answers without a 5xx status. Rejects with the Problem
 * of that node, or with a Problem (`unavailable`) if none answers.
 */
export async function forwardDeletion(
  { text: id, conditions, keepsSlaves }: DeletionRequest,
  peers: readonly Peer[],
  { copies, copyTimeout }: Pick<Settings, 'copies' | 'copyTimeout'>,
): Promise<Deleted> {
  const headersTimeout = copyTimeout + DELETION_MILLISECONDS;
  const target = `${PEER_PREFIX}/file?id=${encodeURIComponent(id)}${keepsSlaves ? '&slaves=keep' : ''}`;
  const failures: unknown[] = [];
  for (const { client } of peers) {
    try {
      const headers = { ...conditions, authorization: client.authorization('DELETE', target) };
      const answer = await client.raw(target, { method: 'DELETE', headers, headersTimeout });
      if (answer.statusCode === 204) return { id, copies, wanted: copies };
      if (answer.statusCode < 300) return deletedSchema.parse(await answer.body.json());
      failures.push(await problemOf(answer));
    } catch (error) {
      failures.push(error);
    }
    const last = failures.at(-1);
    if (last instanceof Problem && last.status < 500) throw last;
  }
  const detail = 'No node of the group of this file can delete it now; try again in a few seconds.';
  throw new Problem('unavailable', detail, failures.length > 0 ? { cause: failures[0] } : undefined);
}

/** The problem document of an answer (RFC 9457) as a Problem; rejects if it is none. */
async function problemOf({ statusCode, body }: Dispatcher.ResponseData): Promise<Problem> {
  const { type, detail } = problemSchema.parse(JSON.parse(await body.text()));
  const name = type.replace(/^urn:fidfs:problem:/, '');
  if (!isProblemName(name)) throw new Error(`the peer answers ${statusCode}: ${detail}`);
  return new Problem(name, detail);
}
