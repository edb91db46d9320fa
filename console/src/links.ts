import { effect, signal } from '@preact/signals';
import { addressOf } from './address';
import { asFailure, type Failure } from './http/failure';
import { requestJson } from './http/request';
import { pathOf } from './id';
import { key } from './key';
import { publicAddressOf } from './settings';

/*
 * Addresses of files and of their pictures. Those of private groups have a signature that ends, made by the server.
 */

/** The response of `console/api/groups`. */
export interface GroupsAnswer {
  /** Whether the node makes pictures. */
  pictures: boolean;
  /** The groups that the key is for. `needsLinks` is null if it is not known now. */
  groups: { name: string; needsLinks: boolean | null }[];
}

/** What a link gives, and for how long. */
export interface LinkKind {
  seconds: number;
  /** Of a picture; without it the link is to the file. */
  preset?: string;
  /** The name under which a browser saves the file. */
  download?: string;
}

/** The preset of the page's pictures, which every node has. */
const PRESET = 'console';
/** How long links to pictures are valid. They are renewed after half of it. */
const PICTURE_SECONDS = 3600;
/** Links that are asked for within this time are one request. */
const TOGETHER_MILLISECONDS = 30;
/** The most files of one request. */
const MOST = 1000;

/** Undefined until loaded; null if that is not possible, such as without the right to list files. */
export const groups = signal<GroupsAnswer | null | undefined>(undefined);
/** Why the links to pictures of private files could not be made; undefined otherwise. */
export const linkTrouble = signal<Failure | undefined>(undefined);

let isLoading = false;

/** Loads `groups` once for each key. */
export async function loadGroups(): Promise<void> {
  const used = key.peek();
  if (isLoading || groups.peek() !== undefined) return;
  isLoading = true;
  const answer = used === undefined ? null : await requestJson<GroupsAnswer>('console/api/groups').catch(() => null);
  isLoading = false;
  if (key.peek() === used) groups.value = answer;
  else await loadGroups();
}

/** Whether the address of a file needs a signature, as far as `groups` says. */
export function needsLink(id: string): boolean {
  if (!groups.value) return false;
  const group = groupOf(id);
  return groups.value.groups.find(({ name }) => name === group)?.needsLinks !== false;
}

function groupOf(id: string): string {
  return id.slice(0, id.indexOf('/'));
}

/** Arranges things by the group of their ID. */
function byGroup<T>(all: readonly T[], idOf: (one: T) => string): T[][] {
  const found = new Map<string, T[]>();
  for (const one of all) {
    const group = groupOf(idOf(one));
    const before = found.get(group);
    if (before) before.push(one);
    else found.set(group, [one]);
  }
  return [...found.values()];
}

/** Asks for the queries of links, empty for those that need none. Throws a Failure. */
export async function linkQueries(ids: readonly string[], kind: LinkKind): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const some of byGroup(ids, (id) => id)) {
    for (let from = 0; from < some.length; from += MOST) {
      const part = some.slice(from, from + MOST);
      const { queries } = await requestJson<{ queries: string[] }>('console/api/sign', {
        json: { ids: part, ...kind },
      });
      for (const [place, id] of part.entries()) found.set(id, queries[place] ?? '');
    }
  }
  return found;
}

/** Returns the public address of a file, signed for a time if its group is private. Throws a Failure. */
export async function signedAddressOf(id: string, seconds: number): Promise<string> {
  return publicAddressOf(id) + ((await linkQueries([id], { seconds })).get(id) ?? '');
}

/** Returns the address of the page's picture of a file. */
export function pictureAddressOf(id: string, query = ''): string {
  return addressOf(`picture/${PRESET}/${pathOf(id)}${query}`);
}

interface Known {
  query: Promise<string>;
  /** When another one is asked for, in milliseconds since 1970. */
  until: number;
}

let pictures = new Map<string, Known>();
let waiting: { id: string; resolve: (query: string) => void; reject: (error: unknown) => void }[] = [];

// Another key may make links that the one before may not.
effect(() => {
  void key.value;
  pictures = new Map();
  groups.value = undefined;
  linkTrouble.value = undefined;
});

/** The query of the link to a picture. Rejects with a Failure. */
export function pictureQuery(id: string): Promise<string> {
  const known = pictures.get(id);
  if (known && known.until > Date.now()) return known.query;
  const query = new Promise<string>((resolve, reject) => {
    if (waiting.length === 0) setTimeout(() => void signWaiting(), TOGETHER_MILLISECONDS);
    waiting.push({ id, resolve, reject });
  });
  pictures.set(id, { query, until: Date.now() + PICTURE_SECONDS * 500 });
  return query;
}

async function signWaiting(): Promise<void> {
  const all = waiting;
  waiting = [];
  // A group whose nodes cannot be asked does not concern the others.
  for (const some of byGroup(all, ({ id }) => id)) {
    try {
      const ids = some.map(({ id }) => id);
      const queries = await linkQueries(ids, { seconds: PICTURE_SECONDS, preset: PRESET });
      for (const { id, resolve } of some) resolve(queries.get(id) ?? '');
      linkTrouble.value = undefined;
    } catch (error) {
      const failure = asFailure(error);
      linkTrouble.value = failure;
      for (const { id, reject } of some) {
        // A refusal stays; other failures may be over at the next attempt.
        if (failure.status !== 403) pictures.delete(id);
        reject(failure);
      }
    }
  }
}
