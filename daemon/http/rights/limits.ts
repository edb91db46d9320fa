import type { IncomingMessage } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Problem } from '../../operations/problems.js';
import { counted } from '../../words.js';
import type { SizeLimit } from '../multipart-stream.js';

/*
 * What a key or an upload token permits of its rights: a size, groups, types. An upload by a token has the limits of the key that
 * signed it, too, and every one of them must be met. An upload for another group takes them along to the node there.
 */

/** The limits of one key or token. */
export interface Limit {
  /** Whose limits they are, for error messages: `the key "web"`. */
  whose: string;
  /** Largest file in bytes. */
  maxFileSize?: number | undefined;
  groups?: readonly string[] | undefined;
  /** Extensions (`jpg`) and media types (`image/png`, `image/*`), in lower case. */
  types?: readonly string[] | undefined;
}

/** What a request may do, and by which key. */
export interface Access {
  /** The name of its key, or of the one that signed its token; undefined without one. */
  key: string | undefined;
  limits: readonly Limit[];
}

/** Access by nobody's key, with `"uploads": "open"`. */
export const OPEN_ACCESS: Access = { key: undefined, limits: [] };

const accesses = new WeakMap<IncomingMessage, Access>();

/** Records what a request may do. */
export function setAccess({ raw }: Pick<FastifyRequest, 'raw'>, access: Access): void {
  accesses.set(raw, access);
}

/** What a request may do, which its hook has recorded. */
export function accessOf({ raw }: Pick<FastifyRequest, 'raw'>): Access {
  return accesses.get(raw) ?? OPEN_ACCESS;
}

/** Query parameter of a forwarded upload: its access, as JSON. The query is signed. */
export const ACCESS_PARAMETER = 'access';

const accessSchema = z.object({
  key: z.string().optional(),
  limits: z.array(
    z.object({
      whose: z.string(),
      maxFileSize: z.number().optional(),
      groups: z.array(z.string()).optional(),
      types: z.array(z.string()).optional(),
    }),
  ),
});

/** Parses the access that a peer sends; a peer of an earlier version sends none. Throws a Problem (`bad-request`). */
export function parseAccess(text: string | undefined): Access {
  if (text === undefined) return OPEN_ACCESS;
  try {
    const { key, limits } = accessSchema.parse(JSON.parse(text));
    return { key, limits };
  } catch (error) {
    throw new Problem('bad-request', 'The peer sends an access that is none.', { cause: error });
  }
}

/** The smallest size limit; `own` is that of the node. */
export function sizeLimitOf({ limits }: Access, own: number): SizeLimit {
  const smallest = limits.reduce<{ bytes: number; whose: string | undefined }>(
    (least, { maxFileSize, whose }) =>
      maxFileSize !== undefined && maxFileSize < least.bytes ? { bytes: maxFileSize, whose } : least,
    { bytes: own, whose: undefined },
  );
  const size = counted(smallest.bytes, 'byte');
  const detail =
    smallest.whose === undefined
      ? `A file may have up to ${size} here.`
      : `With ${smallest.whose} a file may have up to ${size}.`;
  return { bytes: smallest.bytes, detail };
}

/** The limit that excludes files of a group; undefined if none does. */
function excluding({ limits }: Access, group: string): Limit | undefined {
  return limits.find(({ groups }) => groups !== undefined && !groups.includes(group));
}

/** Whether files of this group are covered. */
export function covers(access: Access, group: string): boolean {
  return excluding(access, group) === undefined;
}

/** Throws a Problem (`no-right`) if files of this group are not covered. */
export function assertGroup(access: Access, group: string): void {
  const limit = excluding(access, group);
  if (!limit) return;
  throw new Problem(
    'no-right',
    `${capitalised(limit.whose)} is for ${limit.groups?.join(', ')} only, not for ${group}.`,
  );
}

/**
 * The groups that an upload may go to; undefined for all. Throws a Problem (`no-right`) if the client asks for another one, or
 * if no group of the cluster is among them.
 * @param wanted the group that the client asks for
 */
export function groupsFor(
  access: Access,
  wanted: string | undefined,
  groups: readonly string[],
): readonly string[] | undefined {
  if (wanted !== undefined) {
    assertGroup(access, wanted);
    return [wanted];
  }
  const { limits } = access;
  if (limits.every((limit) => limit.groups === undefined)) return undefined;
  const covered = groups.filter((group) => covers(access, group));
  if (covered.length > 0) return covered;
  const named = limits.flatMap(({ groups = [], whose }) =>
    groups.length > 0 ? [`${whose}: ${groups.join(', ')}`] : [],
  );
  throw new Problem('no-right', `No group of this cluster is among those that are permitted (${named.join('; ')}).`);
}

/** `whose` of a limit at the beginning of a sentence. */
export function capitalised(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
