import { z } from 'zod';
import { PeerError } from '../cluster/peer-client.js';
import { PRESET_PATTERN } from '../config/pictures.js';
import { neededQuery } from '../config/signed-link.js';
import type { Node } from '../status.js';
import { Problem } from './problems.js';

/*
 * Links to files of any group. Only the nodes of a group know the key that signs the links to its files.
 */

const ASK_MILLISECONDS = 10_000;

/** Files of one group to make links to. A request of a peer has the same form. */
export const linksSchema = z.strictObject({
  ids: z.array(z.string().max(101)).min(1).max(1000),
  /** When the links end, in seconds since 1970. */
  expires: z.number().int().min(0).max(1e10),
  /** The name under which a browser saves the file, without control characters. */
  download: z
    .string()
    .max(255)
    .regex(/^\P{Cc}*$/u)
    .optional(),
  preset: z
    .string()
    .regex(new RegExp(`^${PRESET_PATTERN}$`))
    .optional(),
});

export type LinksQuery = z.output<typeof linksSchema>;

const answerSchema = z.object({ queries: z.array(z.string().max(2000)) });

/** The queries of links to files of this node's group, with their question marks; empty for a link that needs none. */
export function signHere({ ids, ...rest }: LinksQuery, { settings }: Pick<Node, 'settings'>): string[] {
  return ids.map((id) => neededQuery(settings, { id, ...rest }));
}

/** As `signHere`, for files of any group. Rejects with a Problem (`unavailable`) if no node of the group can be asked. */
export async function signAnywhere(
  group: string,
  query: LinksQuery,
  node: Pick<Node, 'settings' | 'cluster'>,
): Promise<string[]> {
  const { cluster } = node;
  if (group === cluster.ownGroup) return signHere(query, node);
  let failure: unknown;
  for (const { client } of cluster.upFirst(group)) {
    try {
      const body = Buffer.from(JSON.stringify(query));
      const { queries } = answerSchema.parse(
        await client.askJson('/sign', { method: 'POST', body, timeout: ASK_MILLISECONDS }),
      );
      if (queries.length === query.ids.length) return queries;
      throw new PeerError('it signed another number of links than it was asked for', undefined);
    } catch (error) {
      if (!(error instanceof PeerError || error instanceof z.ZodError)) throw error;
      failure ??= error;
    }
  }
  throw new Problem('unavailable', `No node of ${group} can sign links now; try again later.`, { cause: failure });
}
