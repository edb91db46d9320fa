import { signal } from '@preact/signals';

/** How far the list of files was scrolled when it was last shown, in pixels. */
export const scrolledTo = signal(0);
