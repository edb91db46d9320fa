import { setImmediate as turn } from 'node:timers/promises';
import { z } from 'zod';
import fileId, { type FileId } from '../../file-id/file-id.js';
import { PeerError } from '../cluster/peer-client.js';
import type { Node } from '../status.js';
import { keyOf } from '../store/names.js';
import { deleteHereOrByPeer } from './deletions.js';
import { DELETION_MILLISECONDS, type Deleted } from './forward-deletion.js';
import { describeRecord, fileSchema } from './lists.js';
import { problemOf } from './problem-of.js';

/*
 * Requests for many files at once: each ID gets a result of its own, and the order is kept. One request goes to a node of each other
 * group.
 */

/** IDs of a request at most. */
export const MANY = 1000;
/** IDs that are dealt with in one turn of the event loop. */
const AT_ONCE = 100;
const ASK_MILLISECONDS = 10_000;

const failedSchema = z.object({ id: z.string(), status: z.string(), detail: z.string().optional() });
const deletedSchema = failedSchema.extend({ copies: z.number().optional(), wanted: z.number().optional() });
const statSchema = z.union([fileSchema.extend({ status: z.literal('stored') }), failedSchema]);

/** `status` is `deleted`, `accepted` (then with the numbers of nodes), or the name of a problem (then with its detail). */
export type DeletionResult = z.output<typeof deletedSchema>;
/** `status` is `stored`, or the name of a problem. */
export type StatResult = z.output<typeof statSchema>;

/** What a request for many files needs beside the node. */
export interface Checks {
  /** Throws a Problem if the client may not use files of this group. */
  assertGroup(group: string): void;
  /** Called for errors that only the log explains. */
  failed(error: unknown, id: string): void;
}

/** Takes note of a deletion, such as in the log; see `Observer.deletion`. */
export type Observe = (id: string, run: () => Promise<Deleted>) => Promise<Deleted>;

/** A valid ID of a request. */
interface Asked {
  text: string;
  id: FileId;
}

/**
 * Deletes files of any group. The deletions that this node makes share group commits, and wait for the other nodes together. Never
 * rejects for a single file.
 */
export function deleteMany(
  ids: readonly string[],
  keepsSlaves: boolean,
  node: Node,
  checks: Checks,
  observe: Observe,
): Promise<DeletionResult[]> {
  const timeout = node.settings.copyTimeout + DELETION_MILLISECONDS;
  const slaves: Record<string, string> = keepsSlaves ? { slaves: 'keep' } : {};
  return each(ids, node, checks, {
    here: (asked) =>
      settleEach(asked, checks, ({ id, text }) =>
        resultOf(text, () => observe(text, () => deleteHereOrByPeer({ id, text, conditions: {}, keepsSlaves }, node))),
      ),
    elsewhere: async (asked, group) => {
      const results = await askPeers(group, '/delete', asked, deletedSchema, node, timeout, slaves);
      return Promise.all(
        results.map((result) =>
          settle(result.id, checks, () => resultOf(result.id, () => observe(result.id, () => replay(result)))),
        ),
      );
    },
  });
}

async function resultOf(id: string, run: () => Promise<Deleted>): Promise<DeletionResult> {
  const { copies, wanted } = await run();
  return copies >= wanted ? { id, status: 'deleted' } : { id, status: 'accepted', copies, wanted };
}

/** The outcome of a deletion that a peer made; rejects with the problem that it had. */
async function replay({ id, status, copies = 0, wanted = 0, detail = '' }: DeletionResult): Promise<Deleted> {
  if (status === 'deleted' || status === 'accepted') return { id, copies, wanted };
  throw new PeerResult(status, detail);
}

/** A result of a peer that is an error. */
class PeerResult extends Error {
  override name = 'PeerResult';

  constructor(
    readonly status: string,
    readonly detail: string,
  ) {
    super(detail);
  }
}

/** Says of files of any group whether they are stored, and what is known of them. */
export function statMany(ids: readonly string[], node: Node, checks: Checks): Promise<StatResult[]> {
  return each<StatResult>(ids, node, checks, {
    here: async (asked) => {
      const found = await settleEach<StatResult>(asked, checks, async ({ id, text }) => statHere(id, text, node));
      return statByPeers(found, node);
    },
    elsewhere: (asked, group) => askPeers(group, '/stat', asked, statSchema, node, ASK_MILLISECONDS, { of: 'group' }),
  });
}

/** As `statMany`, for files of this node's group that this node knows: others have the status `unknown`. */
export function statKnown(ids: readonly string[], node: Node, checks: Checks): Promise<StatResult[]> {
  return each<StatResult>(ids, node, checks, {
    here: (asked) => settleEach<StatResult>(asked, checks, async ({ id, text }) => statHere(id, text, node)),
    elsewhere: async (asked) => asked.map(({ text }) => ({ id: text, status: UNKNOWN })),
  });
}

/** The status of a file that a node has no record of, among nodes. */
const UNKNOWN = 'unknown';

function statHere(id: FileId, text: string, { store, index, settings }: Node): StatResult {
  const record = store.recordOf(id) ?? (store.isMissing(id) ? index.findMissing(keyOf(id.name)) : undefined);
  if (record) return { status: 'stored', ...describeRecord(record, settings.group) };
  if (store.isDeleted(id)) return notFound(text);
  if (store.holds(id) === undefined) return { id: text, status: UNKNOWN };
  const { storePath, directory, name } = id;
  const size = id.size ?? store.paths[storePath]?.sizeThrough(directory, name) ?? 0;
  const known = describeRecord(
    { key: keyOf(name), storePath, directory, name, size, sha256: Buffer.alloc(0) },
    id.group,
  );
  return { status: 'stored', ...known };
}

/** Asks the other nodes of the group for the files that are unknown here. */
async function statByPeers(found: readonly StatResult[], node: Node): Promise<StatResult[]> {
  const { cluster, replication } = node;
  const unknown = found.filter(({ status }) => status === UNKNOWN).map(({ id }) => ({ text: id }));
  if (unknown.length === 0) return [...found];
  let isComplete = replication.readiness.lag === undefined;
  const known = new Map<string, StatResult>();
  const answers = cluster.group.map(async (peer) => {
    try {
      return await askPeer(peer.client, '/stat', unknown, statSchema, ASK_MILLISECONDS, { of: 'node' });
    } catch (error) {
      if (!isNoAnswer(error)) throw error;
      isComplete = false;
      return [];
    }
  });
  for (const result of (await Promise.all(answers)).flat()) {
    // A deletion counts more than a file that a node has not deleted yet.
    if (result.status === 'not-found' || (result.status === 'stored' && !known.has(result.id)))
      known.set(result.id, result);
    else if (result.status !== UNKNOWN && result.status !== 'stored') isComplete = false;
  }
  return found.map((result) => {
    if (result.status !== UNKNOWN) return result;
    return known.get(result.id) ?? (isComplete ? notFound(result.id) : unavailable(result.id, NOT_ALL));
  });
}

const NOT_ALL = 'Not all nodes of the group can be asked for this file now; try again later.';

function notFound(id: string): { id: string; status: string; detail: string } {
  return { id, status: 'not-found', detail: 'No such file here, or it is deleted already.' };
}

function unavailable(id: string, detail: string): { id: string; status: string; detail: string } {
  return { id, status: 'unavailable', detail };
}

/** How the files of a group get their results, in the order of the IDs. */
interface Ways<Result> {
  here(asked: readonly Asked[]): Promise<Result[]>;
  elsewhere(asked: readonly Asked[], group: string): Promise<Result[]>;
}

type Failed = z.output<typeof failedSchema>;

async function each<Result extends { id: string; status: string }>(
  ids: readonly string[],
  { cluster }: Pick<Node, 'cluster'>,
  checks: Checks,
  { here, elsewhere }: Ways<Result>,
): Promise<(Result | Failed)[]> {
  const results: (Result | Failed)[] = [];
  const byGroup = new Map<string, (Asked & { place: number })[]>();
  for (const [place, text] of ids.entries()) {
    try {
      const id = fileId.decode(text);
      checks.assertGroup(id.group);
      if (!cluster.groups.includes(id.group)) results[place] = notFound(text);
      else {
        const asked = byGroup.get(id.group) ?? [];
        asked.push({ text, id, place });
        byGroup.set(id.group, asked);
      }
    } catch (error) {
      const isId = !fileId.isFileIdError(error);
      results[place] = isId
        ? failureOf(text, error, checks)
        : { id: text, status: 'bad-id', detail: `${error.message}.` };
    }
  }
  const groups = [...byGroup].map(async ([group, asked]) => {
    const found = await (group === cluster.ownGroup ? here(asked) : elsewhere(asked, group));
    for (const [number, { place }] of asked.entries()) results[place] = found[number] as Result;
  });
  await Promise.all(groups);
  return results;
}

/** Runs an action for each, concurrently; begins `AT_ONCE` in each turn of the event loop. */
async function settleEach<Result>(
  asked: readonly Asked[],
  checks: Checks,
  act: (asked: Asked) => Promise<Result>,
): Promise<(Result | Failed)[]> {
  const results: Promise<Result | Failed>[] = [];
  for (const [number, one] of asked.entries()) {
    if (number > 0 && number % AT_ONCE === 0) await turn();
    results.push(settle(one.text, checks, () => act(one)));
  }
  return Promise.all(results);
}

async function settle<Result>(id: string, checks: Checks, act: () => Promise<Result>): Promise<Result | Failed> {
  try {
    return await act();
  } catch (error) {
    return failureOf(id, error, checks);
  }
}

function failureOf(id: string, error: unknown, { failed }: Checks): Failed {
  if (error instanceof PeerResult) return { id, status: error.status, detail: error.detail };
  const problem = problemOf(error);
  if (problem.status >= 500 && problem.cause !== undefined) failed(problem.cause, id);
  return { id, status: problem.problem, detail: problem.message };
}

/** Asks the nodes of a group in turn, until one answers. */
async function askPeers<Result extends { id: string }>(
  group: string,
  path: string,
  asked: readonly Asked[],
  schema: z.ZodType<Result>,
  { cluster }: Pick<Node, 'cluster'>,
  timeout: number,
  query: Record<string, string>,
): Promise<(Result | Failed)[]> {
  for (const { client } of cluster.upFirst(group)) {
    try {
      return await askPeer(client, path, asked, schema, timeout, query);
    } catch (error) {
      if (!isNoAnswer(error)) throw error;
    }
  }
  return asked.map(({ text }) => unavailable(text, `No node of ${group} can be asked now; try again later.`));
}

async function askPeer<Result extends { id: string }>(
  client: Node['cluster']['peers'][number]['client'],
  path: string,
  asked: readonly Pick<Asked, 'text'>[],
  schema: z.ZodType<Result>,
  timeout: number,
  query: Record<string, string>,
): Promise<Result[]> {
  const body = Buffer.from(JSON.stringify({ ids: asked.map(({ text }) => text) }));
  const answer = await client.askJson(path, { method: 'POST', body, query, timeout });
  const results = z.object({ results: z.array(schema).length(asked.length) }).parse(answer).results;
  if (results.every(({ id }, number) => id === asked[number]?.text)) return results;
  throw new PeerError('its results are not those of the IDs that were sent', undefined);
}

function isNoAnswer(error: unknown): boolean {
  return error instanceof PeerError || error instanceof z.ZodError;
}
