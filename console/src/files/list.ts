import { signal } from '@preact/signals';
import { asFailure, type Failure } from '../http/failure';
import { requestJson } from '../http/request';

/*
 * The files of the cluster, newest first, as far as they have been fetched. It stays while other views are shown.
 */

/** A file in the response of `GET /files`. */
export interface ListedFile {
  id: string;
  kind: string;
  /** Bytes. */
  size: number;
  created: string;
  ext: string;
}

/** What is listed. An empty text is no limit. */
export interface Filter {
  group: string;
  /** An extension without its dot, as it is written in the IDs. */
  ext: string;
  /** Days of the browser's time zone, as `2026-11-22`; both are included. */
  from: string;
  to: string;
}

const PAGE = '200';
export const NO_FILTER: Filter = { group: '', ext: '', from: '', to: '' };

export const filter = signal<Filter>(NO_FILTER);
export const files = signal<readonly ListedFile[]>([]);
/** The position of the next page; undefined after the last one, and before the first. */
const next = signal<string | undefined>(undefined);
/** Whether a page is being fetched. */
export const isLoading = signal(false);
/** Whether there may be more files than those in `files`. */
export const isMore = signal(true);
/** The failure of the last request; undefined after a success. */
export const listFailure = signal<Failure | undefined>(undefined);

let current = new AbortController();
/** The key that `files` were listed with. */
let usedKey: string | undefined;

/** Lists from the newest file on. */
export function restart(key: string | undefined): void {
  current.abort();
  current = new AbortController();
  usedKey = key;
  files.value = [];
  next.value = undefined;
  isMore.value = true;
  isLoading.value = false;
  listFailure.value = undefined;
  if (key !== undefined) void more();
}

/** As `restart`, unless the files were listed with this key before. */
export function startOnce(key: string | undefined): void {
  if (usedKey !== key || listFailure.peek()) restart(key);
}

/** Fetches the next page with files in it; does nothing if there is none, or while one is being fetched. */
export async function more(): Promise<void> {
  if (isLoading.peek() || !isMore.peek()) return;
  const { signal } = current;
  isLoading.value = true;
  listFailure.value = undefined;
  try {
    const before = files.peek().length;
    while (isMore.peek() && files.peek().length === before) {
      const page = await requestJson<{ files: ListedFile[]; next?: string }>(`files?${parameters()}`, { signal });
      if (signal.aborted) return;
      next.value = page.next;
      isMore.value = page.next !== undefined;
      files.value = [...files.peek(), ...page.files];
    }
  } catch (error) {
    if (!signal.aborted) listFailure.value = asFailure(error);
  } finally {
    if (!signal.aborted) isLoading.value = false;
  }
}

function parameters(): URLSearchParams {
  const { group, ext, from, to } = filter.peek();
  const after = next.peek();
  const given = { group, ext, from: startOf(from, 0), to: startOf(to, 1), after: after ?? '' };
  const used = Object.entries(given).filter(([, value]) => value !== '');
  return new URLSearchParams([['limit', PAGE], ...used]);
}

/** The start of a day, and `days` later, in seconds since 1970; empty for no day. */
function startOf(day: string, days: number): string {
  const [year = 0, month = 1, date = 1] = day.split('-').map(Number);
  return day === '' ? '' : String(Math.max(0, Math.floor(new Date(year, month - 1, date + days).getTime() / 1000)));
}

/** Takes files that have been deleted off the list, and with them their slaves, which are deleted with a file. */
export function takeOff(ids: readonly string[]): void {
  const gone = new Set(ids);
  const masters = new Set(ids.map(stemOf));
  files.value = files.peek().filter(({ id, kind }) => !gone.has(id) && !(kind === 'slave' && isSlaveOf(id, masters)));
}

/** An ID without its extension: the IDs of its slaves begin with it. */
export function stemOf(id: string): string {
  return id.replace(/\.(?:tar\.gz|[^./]{1,6})$/, '');
}

function isSlaveOf(id: string, masters: ReadonlySet<string>): boolean {
  for (let end = id.length - 1; end > id.lastIndexOf('/'); end--) if (masters.has(id.slice(0, end))) return true;
  return false;
}
