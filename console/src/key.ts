import { computed, signal } from '@preact/signals';
import { serverPath } from './address';

/*
 * The upload key, in sessionStorage: for this tab only, until it is closed.
 */

const NAME = `fidfs-key${serverPath}`;

const stored = signal<string | undefined>(sessionStorage.getItem(NAME) ?? undefined);
const refused = signal(false);

export const key = computed(() => stored.value);
/** Whether the server rejected the last key. */
export const keyWasRefused = computed(() => refused.value);
/** Whether the dialog for the key is open. */
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

/** After the server rejected the key `used`: deletes it and asks for another, unless it was replaced in the meantime. */
export function refuseKey(used: string | undefined): void {
  if (stored.value !== used) return;
  forgetKey();
  refused.value = used !== undefined;
  asking.value = true;
}

/** Asks for the key if there is none; resolves when there is one. Rejects with the signal's reason. */
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

/** Returns the request headers with the key; none without a key. */
export function authorization(): Record<string, string> {
  return stored.value === undefined ? {} : { Authorization: `Bearer ${stored.value}` };
}
