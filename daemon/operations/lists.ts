import { z } from 'zod';
import fileId from '../../file-id/file-id.js';
import { PeerError } from '../cluster/peer-client.js';
import { type Order, positionOf, type Range } from '../index/listing.js';
import type { Node } from '../status.js';
import { decodeName, isMetadata, keyOf } from '../store/names.js';
import type { FileRecord } from '../store/records.js';
import { Problem } from './problems.js';

/** Records that are looked at for a page: a page of few extensions ends early rather than hold up other requests. */
const LOOKED_AT = 5000;
const ASK_MILLISECONDS = 10_000;

/** What to list. */
export interface ListQuery extends Range {
  /** Files of a page at most. */
  limit: number;
  /** Without a dot; undefined for all. */
  ext?: string | undefined;
}

export const fileSchema = z.object({
  id: z.string().max(101),
  /** `normal`, `appender`, `slave` or `trunk`. */
  kind: z.string(),
  /** Bytes. */
  size: z.number(),
  /** ISO 8601. Of the master, for a slave. */
  created: z.string(),
  /** Hex; null for a file of FastDFS that is not adopted, which lists do not have. */
  sha256: z.string().nullable(),
  /** Hex; null if the ID does not tell it. */
  crc32: z.string().nullable(),
  ext: z.string(),
  /** The node that took it: its server id, or the address of a node of FastDFS. */
  source: z.union([z.number(), z.string()]),
});
/** The answer of a node to a peer. */
const pageSchema = z.object({
  files: z.array(fileSchema).max(1000),
  end: z
    .string()
    .regex(/^[0-9a-f]{40}$/)
    .nullable(),
});

/** A file in a list. */
export type ListedFile = z.output<typeof fileSchema>;

/** Part of a list. `end`: the position up to which files were looked at, in hex; null if no more follow. */
export interface Page {
  files: ListedFile[];
  end: string | null;
}

/** Lists files of this node's group. */
export function listHere(query: ListQuery, { index, settings }: Pick<Node, 'index' | 'settings'>): Page {
  const files: ListedFile[] = [];
  return index.reading(() => {
    let looked = 0;
    let last: Buffer | undefined;
    for (const record of index.listing.scan(query)) {
      if (last && (files.length === query.limit || looked === LOOKED_AT)) {
        return { files, end: positionOf(last).toString('hex') };
      }
      looked++;
      last = record.key;
      if (isMetadata(record.name) || (query.ext !== undefined && extensionIn(record.name) !== query.ext)) continue;
      files.push(describeRecord(record, settings.group));
    }
    return { files, end: null };
  });
}

/**
 * Lists files of several groups, merged by time. Rejects with a Problem (`unavailable`) that names a group none of whose nodes can be
 * asked.
 */
export async function listAnywhere(groups: readonly string[], query: ListQuery, node: Node): Promise<Page> {
  const pages = await Promise.all(groups.map((group) => listGroup(group, query, node)));
  return merge(pages, query);
}

/** Merges pages of several groups to one: as far as all of them have looked, and up to the limit. */
export function merge(pages: readonly Page[], { order, limit }: { order: Order; limit: number }): Page {
  const sign = order === 'oldest' ? 1 : -1;
  const compare = (one: string, other: string) => sign * (one < other ? -1 : Number(one > other));
  const [end] = pages.flatMap((page) => page.end ?? []).sort(compare);
  const files = pages
    .flatMap((page) => page.files.map((file) => ({ file, position: placeOf(file.id) })))
    .filter(({ position }) => end === undefined || compare(position, end) <= 0)
    .sort((one, other) => compare(one.position, other.position));
  const first = files.slice(0, limit);
  const isCut = files.length > limit;
  return { files: first.map(({ file }) => file), end: (isCut ? first.at(-1)?.position : end) ?? null };
}

async function listGroup(group: string, query: ListQuery, node: Node): Promise<Page> {
  const { cluster, replication } = node;
  const isOwn = group === cluster.ownGroup;
  // A node that lags behind the others would leave out what it has not got yet.
  if (isOwn && replication.readiness.lag === undefined) return listHere(query, node);
  let failure: unknown;
  for (const { client } of cluster.upFirst(group)) {
    try {
      const { order, limit, from, to, after, ext } = query;
      const given = Object.entries({ order, limit, from, to, after: after?.toString('hex'), ext });
      const parameters = given.flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
      const options = { query: Object.fromEntries(parameters), timeout: ASK_MILLISECONDS };
      return pageSchema.parse(await client.askJson('/list', options));
    } catch (error) {
      if (!(error instanceof PeerError || error instanceof z.ZodError)) throw error;
      failure ??= error;
    }
  }
  const others = cluster.groups.length > 1 ? '; with ?group= another group can be listed' : '';
  throw new Problem('unavailable', `No node of ${group} can list its files now: try again later${others}.`, {
    cause: failure,
  });
}

function placeOf(id: string): string {
  return positionOf(keyOf(fileId.decode(id).name)).toString('hex');
}

/** The extension in a name, without its dot; empty if it has none. */
function extensionIn(name: string): string {
  const tail = name.slice(-7);
  const dot = tail.indexOf('.');
  return dot < 0 ? '' : tail.slice(dot + 1);
}

/** A file as lists and other answers show it. */
export function describeRecord({ name, storePath, directory, size, sha256 }: FileRecord, group: string): ListedFile {
  const { kind, created, crc32, source } = decodeName(name);
  return {
    id: fileId.join(group, storePath, directory, name),
    kind,
    size,
    created: fileId.isoSecond(created),
    sha256: sha256.length === 0 ? null : sha256.toString('hex'),
    crc32: crc32 === null ? null : fileId.hex32(crc32),
    ext: extensionIn(name),
    source: 'serverId' in source ? source.serverId : source.ip,
  };
}
