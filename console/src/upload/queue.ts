import { computed, signal } from '@preact/signals';
import { asFailure } from '../http/failure';
import type { Chosen } from './chosen';
import { forgetHash } from './hashing';
import { type Entry, loadEntries, removeEntries, saveEntries } from './history';
import { type Description, Item } from './item';
import { Rows } from './rows';
import { giveUp } from './send';
import { totalsOf } from './totals';
import { transfer } from './transfer';

/** Number of rows added to the page per frame. */
const BATCH = 40;
const TOTALS_MILLISECONDS = 100;

export const items = signal<readonly Item[]>([]);

const totals = signal(totalsOf([]));
/** Sums over the list, updated at most ten times per second. */
export const listTotals = computed(() => totals.value);

let isSumDue = false;
function changed(): void {
  if (isSumDue) return;
  isSumDue = true;
  setTimeout(() => {
    isSumDue = false;
    totals.value = totalsOf(items.peek());
  }, TOTALS_MILLISECONDS);
}

let latest = 0;
function newItem(description: Description): Item {
  latest = Math.max(latest + 1, Date.now());
  // crypto.randomUUID exists only on pages from TLS or localhost.
  const key = crypto.getRandomValues(new Uint32Array(2)).join('-');
  return new Item(key, latest, description, changed);
}

function save(...some: Item[]): void {
  const entries = some.map((item): Entry => {
    const phase = item.phase.peek();
    return {
      key: item.key,
      added: item.added,
      description: item.description,
      ...(item.tusUrl === undefined ? {} : { tusUrl: item.tusUrl }),
      ...(phase.name === 'done' ? { stored: phase.stored } : {}),
    };
  });
  void saveEntries(entries);
}

/** Restores the list after a reload. */
async function restore(): Promise<void> {
  const entries = await loadEntries();
  for (let from = 0; from < entries.length; from += BATCH) {
    const batch = entries.slice(from, from + BATCH).map(({ key, added, description, tusUrl, stored }) => {
      const item = new Item(key, added, description, changed);
      item.tusUrl = tusUrl;
      item.phase.value = stored ? { name: 'done', stored } : { name: 'interrupted' };
      return item;
    });
    await append(batch);
  }
}

/** Adds rows to the page, and waits until it is drawn. */
async function append(rows: readonly Item[]): Promise<void> {
  items.value = [...items.peek(), ...rows];
  changed();
  await new Promise((resolve) => setTimeout(resolve));
}

const restored = restore();

/** Leaving the page stops uploads, so the browser asks first. */
window.addEventListener('beforeunload', (event) => {
  if (items.peek().some((item) => item.isActive)) event.preventDefault();
});

/**
 * Adds files to the list and starts their uploads. A file that a reload or a failure interrupted continues in its row; one
 * that is being sent already is skipped. Resolves with the number of skipped files.
 */
export async function add(chosen: readonly Chosen[]): Promise<number> {
  await restored;
  const rows = new Rows(items.peek());
  let passed = 0;
  // In batches also because the browser reads the size of each file from the disk.
  for (let from = 0; from < chosen.length; from += BATCH) {
    const ready: Item[] = [];
    const fresh: Item[] = [];
    for (const { file, folder } of chosen.slice(from, from + BATCH)) {
      const { name, size, lastModified, type } = file;
      const description = { name, folder, size, lastModified, type };
      if (rows.hasActive(description)) passed++;
      else {
        const left = rows.takeLeft(description);
        const item = left ?? newItem(description);
        item.file = file;
        ready.push(item);
        if (!left) fresh.push(item);
      }
    }
    save(...fresh);
    for (const item of ready) start(item);
    await append(fresh);
  }
  return passed;
}

/** Starts or resumes an upload. */
export function start(item: Item): void {
  const { file } = item;
  item.abort = new AbortController();
  if (file) void run(item, file, item.abort.signal);
  else item.enter({ name: 'interrupted' });
}

async function run(item: Item, file: File, abort: AbortSignal): Promise<void> {
  try {
    const stored = await transfer(item, file, abort, () => save(item));
    item.sent.report(file.size);
    item.sent.flush();
    item.enter({ name: 'done', stored });
    save(item);
  } catch (error) {
    if (!abort.aborted) item.enter({ name: 'failed', failure: asFailure(error) });
  }
}

export function pause(item: Item): void {
  if (!item.isActive) return;
  item.abort.abort();
  item.enter({ name: 'paused' });
}

/** Stops uploads and removes them from the list. */
export function remove(some: readonly Item[]): void {
  const gone = new Set(some);
  for (const item of some) {
    item.abort.abort();
    forgetHash(item.key);
    if (item.tusUrl && item.phase.peek().name !== 'done') giveUp(item.tusUrl);
  }
  items.value = items.peek().filter((item) => !gone.has(item));
  void removeEntries(some.map(({ key }) => key));
  changed();
}

/** Starts all failed uploads again. */
export function retryFailed(): void {
  for (const item of items.peek()) if (item.phase.peek().name === 'failed') start(item);
}

/** Removes finished uploads from the list; the stored files are not deleted. */
export function clearFinished(): void {
  remove(items.peek().filter((item) => item.phase.peek().name === 'done'));
}
