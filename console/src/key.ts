import { computed, signal } from '@preact/signals';
import { serverPath } from './address';

/*
 * The upload key. It lives in sessionStorage: in this tab, and no longer than it.
 */

const NAME = `fidfs-key${serverPath}`;

const stored = signal<string | undefined>(sessionStorage.getItem(NAME) ?? undefined);
const refused = signal(false);

export const key = computed(() => stored.value);
/** Whether the server said no to the last key. */
export const keyWasRefused = computed(() => refused.value);
/** Whether the question for the key is on the screen. */
export const asking = signal(false);

let waiting: (() => void)[] = [];

export function setKey(text: string): void {
  sessionStorage.setItem(NAME, text);
  stored.value = text;
  refused.value = false;
  asking.value = false;
  for (const go of waiting.splice(0)) go();
}

export function forgetKey(): void {
  sessionStorage.removeItem(NAME);
  stored.value = undefined;
  refused.value = false;
}

/** The server did not take a key: asks for another, unless there is another by now. */
export function refuseKey(used: string | undefined): void {
  if (stored.value !== used) return;
  forgetKey();
  refused.value = used !== undefined;
  asking.value = true;
}

/** Resolves when there is a key; asks for it. Rejects with the signal's reason. */
export async function keyGiven(abort: AbortSignal): Promise<void> {
  if (stored.value !== undefined) return;
  asking.value = true;
  await new Promise<void>((resolve, reject) => {
    waiting.push(resolve);
    abort.addEventListener(
      'abort',
      () => {
        waiting = waiting.filter((one) => one !== resolve);
        reject(abort.reason);
      },
      { once: true },
    );
  });
}

/** The headers that carry the key. */
export function authorization(): Record<string, string> {
  return stored.value === undefined ? {} : { Authorization: `Bearer ${stored.value}` };
}
