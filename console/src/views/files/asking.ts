import { signal } from '@preact/signals';

/** Whether the question before the deletion of the chosen files is open. */
export const askToDelete = signal(false);

/** Raised to give the focus to the list. */
export const focusWanted = signal(0);
