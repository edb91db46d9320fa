import type { Index } from './index/index.js';
import type { Node } from './status.js';
import { keyOf } from './store/names.js';

const CHECK_MILLISECONDS = 1000;
/** A restarting peer is back within this time; no alarm before. */
const GRACE_MILLISECONDS = 10_000;

/**
 * Checks every second the conditions that have no event of their own, and raises or clears their alarms. Returns the function
 * that stops the checks.
 */
export function watchPromises({
  index,
  store,
  copyPolicy,
  alarms,
  settings,
}: Pick<Node, 'index' | 'store' | 'copyPolicy' | 'alarms' | 'settings'>): () => void {
  let fewSince: number | undefined;
  const timer = setInterval(() => {
    if (index.damage !== undefined) alarms.raise('index', 'index.db', `uploads are refused: ${index.damage}`);
    for (const { root, unavailable, isFull } of store.paths) {
      const wrong = unavailable ?? (isFull ? 'it is full down to its reserve' : undefined);
      if (wrong === undefined) alarms.clear('disk', root);
      else alarms.raise('disk', root, `the store path takes no files: ${wrong}`);
    }
    for (const kind of ['damage', 'set-aside'] as const) {
      for (const name of alarms.subjects(kind)) if (isSettled(index, name)) alarms.clear(kind, name);
    }
    const few = copyPolicy.unavailable;
    if (few === undefined) fewSince = undefined;
    else fewSince ??= performance.now();
    const subject = settings.group;
    if (few === undefined) alarms.clear('too-few-copies', subject);
    else if (fewSince !== undefined && performance.now() - fewSince > GRACE_MILLISECONDS) {
      alarms.raise('too-few-copies', subject, `uploads are refused: ${few}`);
    }
  }, CHECK_MILLISECONDS).unref();
  return () => clearInterval(timer);
}

/** Whether a file that was corrupt or could not be fetched is stored here again or deleted. */
function isSettled(index: Index, name: string): boolean {
  try {
    const key = keyOf(name);
    return index.findMissing(key) === undefined && (index.find(key) !== undefined || index.isDeleted(key));
  } catch {
    return false; // an unusable index has its own alarm
  }
}
