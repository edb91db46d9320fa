import { signal } from '@preact/signals';
import type { JSX } from 'preact';

const said = signal('');

/** Announces a text to screen readers. */
export function announce(words: string): void {
  // An unchanged text would not be announced again.
  said.value = said.peek() === words ? `${words}\u00a0` : words;
}

/** The live region of `announce`; once in the page. */
export function Announcer(): JSX.Element {
  return (
    <div class="unseen" role="status" aria-live="polite">
      {said}
    </div>
  );
}
