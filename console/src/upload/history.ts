import { serverPath } from '../address';
import type { Description, Stored } from './item';

/*
 * Stores the list in IndexedDB, so that it survives a reload: names and addresses, not the files. Without IndexedDB (private
 * windows) only the list is lost.
 */

/** A stored row. */
export interface Entry {
  key: string;
  added: number;
  description: Description;
  tusUrl?: string;
  stored?: Stored;
}

const STORE = 'uploads';

let database: Promise<IDBDatabase> | undefined;

function open(): Promise<IDBDatabase> {
  database ??= new Promise((resolve, reject) => {
    const opening = indexedDB.open(`fidfs${serverPath}`, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: 'key' });
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  return database;
}

async function write(change: (store: IDBObjectStore) => void): Promise<void> {
  try {
    change((await open()).transaction(STORE, 'readwrite').objectStore(STORE));
  } catch {
    // no IndexedDB
  }
}

/** Resolves with all rows in the order in which they were added. */
export async function loadEntries(): Promise<Entry[]> {
  try {
    const all = (await open()).transaction(STORE).objectStore(STORE).getAll();
    const entries = await new Promise<Entry[]>((resolve, reject) => {
      all.onsuccess = () => resolve(all.result);
      all.onerror = () => reject(all.error);
    });
    return entries.sort((one, other) => one.added - other.added);
  } catch {
    return [];
  }
}

export function saveEntries(entries: readonly Entry[]): Promise<void> {
  return write((store) => {
    for (const entry of entries) store.put(entry);
  });
}

export function removeEntries(keys: readonly string[]): Promise<void> {
  return write((store) => {
    for (const key of keys) store.delete(key);
  });
}
