import { signal } from '@preact/signals';
import type { JSX } from 'preact';

const said = signal('');

/** Has a screen reader say something. */
export function announce(words: string): void {
  // The same words again are no change, and would not be said.
  said.value = said.peek() === words ? `${words}\u00a0` : words;
}

/** Where it is said; in the page once. */
export function Announcer(): JSX.Element {
  return (
    <div class="unseen" role="status" aria-live="polite">
      {said}
    </div>
  );
}
