import { statSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import type { FileId } from '../../file-id/file-id.js';
import { FILE_TIME, filePath } from '../store/layout.js';
import type { Store } from '../store/store.js';
import { Problem } from './problems.js';

const NAMES = ['if-match', 'if-none-match', 'if-unmodified-since'] as const;

/** Preconditions of a deletion, by the names of their headers. */
export type Conditions = Partial<Record<(typeof NAMES)[number], string>>;

/** Picks the preconditions from a request's headers. */
export function conditionsOf(headers: IncomingHttpHeaders): Conditions {
  const conditions: Conditions = {};
  for (const name of NAMES) {
    const value = headers[name];
    if (value !== undefined) conditions[name] = value;
  }
  return conditions;
}

/**
 * Throws a Problem (`precondition-failed`) if a precondition is false (RFC 9110, 13.2.2), by the ETag and the date that nginx
 * sends for the file.
 */
export function assertConditions(conditions: Conditions, id: FileId, store: Pick<Store, 'paths'>): void {
  const match = conditions['if-match'];
  const noneMatch = conditions['if-none-match'];
  const since = conditions['if-unmodified-since'];
  if (match === undefined && noneMatch === undefined && since === undefined) return;
  const tag = entityTag(id, store);
  const named = (tags: string): readonly string[] => tags.match(/(?:W\/)?"[^"]*"/g) ?? [];
  const holds =
    (match === undefined || match.trim() === '*' || named(match).includes(tag)) &&
    // If-Unmodified-Since is ignored beside If-Match, and if its date is invalid.
    (match !== undefined || since === undefined || !(Date.parse(since) < id.created * 1000)) &&
    (noneMatch === undefined ||
      !(noneMatch.trim() === '*' || named(noneMatch).some((one) => one.replace(/^W\//, '') === tag)));
  if (!holds) throw new Problem('precondition-failed', 'The file is not the one that the condition names.');
}

/**
 * The ETag that nginx makes of a file's time and size; for a file that is not on this node, from the fixed file time and the
 * size in its ID.
 */
function entityTag(id: FileId, { paths }: Pick<Store, 'paths'>): string {
  const path = paths[id.storePath];
  const found = path && statSync(filePath(path.root, id.directory, id.name), { throwIfNoEntry: false });
  const seconds = found ? Math.floor(found.mtimeMs / 1000) : FILE_TIME;
  return `"${seconds.toString(16)}-${(found?.size ?? id.size ?? 0).toString(16)}"`;
}
