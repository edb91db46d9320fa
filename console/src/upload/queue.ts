import { computed, signal } from '@preact/signals';
import { asFailure, Failure } from '../http/failure';
import { key, keyGiven } from '../key';
import { serverSettings, settingsLoaded } from '../settings';
import type { Chosen } from './chosen';
import { forgetHash, hashFile } from './hashing';
import { type Entry, loadEntries, removeEntries, saveEntries } from './history';
import { type Description, Item } from './item';
import { type Persistence, persist } from './retry';
import { giveUp, offer, sendByTus, sendWhole } from './send';
import { Slots } from './slots';
import { totalsOf } from './totals';

/** Up to here, in bytes, a file is sent in one request; larger ones are offered by their hash, and sent by tus. */
const WHOLE_BYTES = 2 ** 20;
/** Rows that are put on the screen in one go. */
const BATCH = 40;
const TOTALS_MILLISECONDS = 100;

const hashing = new Slots(1);
const sending = new Slots(3);

export const items = signal<readonly Item[]>([]);

const totals = signal(totalsOf([]));
/** Sums over the list, at most ten times a second. */
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
  // crypto.randomUUID is for pages that came by TLS or from this machine.
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

/** Brings back the list of before a reload. */
async function restore(): Promise<void> {
  items.value = (await loadEntries()).map(({ key, added, description, tusUrl, stored }) => {
    const item = new Item(key, added, description, changed);
    item.tusUrl = tusUrl;
    item.phase.value = stored ? { name: 'done', stored } : { name: 'interrupted' };
    return item;
  });
  changed();
}

const restored = restore();

/** To leave the page stops what is going on: the browser asks first. */
window.addEventListener('beforeunload', (event) => {
  if (items.peek().some((item) => item.isActive)) event.preventDefault();
});

/**
 * Adds files to the list and sends them. Those that a reload or a failure left behind go on in their own rows, and
 * those that are being sent already are passed over. Returns how many were passed over.
 */
export async function add(chosen: readonly Chosen[]): Promise<number> {
  await restored;
  const rows = new Rows(items.peek());
  let passed = 0;
  const fresh: Item[] = [];
  for (const { file, folder } of chosen) {
    const { name, size, lastModified, type } = file;
    const description = { name, folder, size, lastModified, type };
    if (rows.hasActive(description)) passed++;
    else {
      const left = rows.takeLeft(description);
      if (left) {
        left.file = file;
        start(left);
      } else {
        const item = newItem(description);
        item.file = file;
        fresh.push(item);
      }
    }
  }
  for (let from = 0; from < fresh.length; from += BATCH) {
    const batch = fresh.slice(from, from + BATCH);
    items.value = [...items.peek(), ...batch];
    save(...batch);
    for (const item of batch) start(item);
    await new Promise((resolve) => setTimeout(resolve));
  }
  return passed;
}

/** Finds the row that a chosen file belongs to. */
class Rows {
  private readonly active = new Set<string>();
  private readonly left = new Map<string, Item[]>();

  constructor(rows: readonly Item[]) {
    for (const row of rows) {
      const { name } = row.phase.peek();
      if (row.isActive || name === 'paused') this.active.add(this.exact(row.description));
      if (name !== 'interrupted' && name !== 'failed') continue;
      const found = this.left.get(this.loose(row.description)) ?? [];
      this.left.set(this.loose(row.description), [...found, row]);
    }
  }

  hasActive(description: Description): boolean {
    return this.active.has(this.exact(description));
  }

  /** One from the same folder if there is one; each only once. */
  takeLeft(description: Description): Item | undefined {
    const rows = this.left.get(this.loose(description)) ?? [];
    const same = rows.findIndex((row) => row.description.folder === description.folder);
    return rows.splice(Math.max(same, 0), 1)[0];
  }

  private loose({ name, size, lastModified }: Description): string {
    return JSON.stringify([name, size, lastModified]);
  }

  private exact(description: Description): string {
    return `${this.loose(description)}${description.folder}`;
  }
}

/** Starts an upload, or goes on with it. */
export function start(item: Item): void {
  const { file } = item;
  item.abort = new AbortController();
  if (file) void run(item, file, item.abort.signal);
  else item.enter({ name: 'interrupted' });
}

async function run(item: Item, file: File, abort: AbortSignal): Promise<void> {
  try {
    await settingsLoaded;
    abort.throwIfAborted();
    const limit = serverSettings.peek()?.maxFileSize ?? Number.POSITIVE_INFINITY;
    if (file.size > limit) throw new Failure('too-large', 413, '');
    item.enter({ name: 'queued' });
    const stored = file.size > WHOLE_BYTES ? await sendLarge(item, file, abort) : await sendSmall(item, file, abort);
    item.sent.report(file.size);
    item.sent.flush();
    item.enter({ name: 'done', stored });
    save(item);
  } catch (error) {
    if (!abort.aborted) item.enter({ name: 'failed', failure: asFailure(error) });
  }
}

function persistence(item: Item, abort: AbortSignal): Persistence {
  return {
    abort,
    waits: (failure, again) => item.enter({ name: 'waiting', failure, again }),
    position: () => item.sent.bytes.peek(),
  };
}

/** Asks for the key before anything is sent without one. */
async function permitted(item: Item, abort: AbortSignal): Promise<void> {
  if (key.peek() !== undefined || serverSettings.peek()?.uploads === 'open') return;
  item.enter({ name: 'waiting', failure: new Failure('no-key', 401, ''), again: undefined });
  await keyGiven(abort);
}

async function sendSmall(item: Item, file: File, abort: AbortSignal) {
  const release = await sending.take(abort);
  try {
    await permitted(item, abort);
    return await persist(
      () => {
        item.enter({ name: 'sending' });
        item.sent.begin();
        return sendWhole(item, file, abort);
      },
      persistence(item, abort),
    );
  } finally {
    release();
  }
}

async function sendLarge(item: Item, file: File, abort: AbortSignal) {
  if (item.tusUrl === undefined) {
    item.sha256 ??= await hash(item, file, abort);
    const { sha256 } = item;
    await permitted(item, abort);
    const known = await persist(
      () => {
        item.enter({ name: 'checking' });
        return offer(item, file, sha256, abort);
      },
      persistence(item, abort),
    );
    if (known) return known;
    item.enter({ name: 'queued' });
  }
  const release = await sending.take(abort);
  try {
    await permitted(item, abort);
    return await persist(
      async () => {
        item.enter({ name: 'sending' });
        try {
          return await sendByTus(item, file, abort, () => save(item));
        } finally {
          item.sent.flush();
        }
      },
      persistence(item, abort),
    );
  } finally {
    release();
  }
}

async function hash(item: Item, file: File, abort: AbortSignal): Promise<string> {
  const release = await hashing.take(abort);
  try {
    item.enter({ name: 'hashing' });
    item.hashed.begin(item.hashed.bytes.peek());
    const sha256 = await hashFile(item.key, file, abort, (bytes) => item.hashed.report(bytes));
    item.hashed.report(file.size);
    item.hashed.flush();
    return sha256;
  } finally {
    release();
  }
}

export function pause(item: Item): void {
  if (!item.isActive) return;
  item.abort.abort();
  item.enter({ name: 'paused' });
}

/** Stops uploads and takes them off the list. */
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

/** Tries all that failed again. */
export function retryFailed(): void {
  for (const item of items.peek()) if (item.phase.peek().name === 'failed') start(item);
}

/** Takes what is done off the list; the files stay where they are. */
export function clearFinished(): void {
  remove(items.peek().filter((item) => item.phase.peek().name === 'done'));
}
