import { batch, computed, effect, signal } from '@preact/signals';
import { files } from './list';

/*
 * The chosen files of the list, and the one that has the focus of the keyboard.
 */

/** The IDs of the chosen files. */
export const chosen = signal<ReadonlySet<string>>(new Set());
/** The index of the file that the keyboard acts on. */
export const active = signal(0);
/** The chosen files, in the order of the list. */
export const chosenFiles = computed(() => files.value.filter(({ id }) => chosen.value.has(id)));

/** The index at which a range begins. */
let anchor = 0;

// What is no longer in the list cannot be chosen.
effect(() => {
  const ids = new Set(files.value.map(({ id }) => id));
  const left = [...chosen.peek()].filter((id) => ids.has(id));
  if (left.length !== chosen.peek().size) chosen.value = new Set(left);
  const last = Math.max(0, files.value.length - 1);
  active.value = Math.min(active.peek(), last);
  anchor = Math.min(anchor, last);
});

/** Moves the focus; stays within the list. */
export function moveTo(index: number): void {
  active.value = Math.min(Math.max(index, 0), Math.max(0, files.peek().length - 1));
}

/** Chooses one file, or undoes it; the others stay as they are. */
export function toggle(index: number): void {
  const id = files.peek()[index]?.id;
  if (id === undefined) return;
  const others = new Set(chosen.peek());
  if (!others.delete(id)) others.add(id);
  anchor = index;
  batch(() => {
    chosen.value = others;
    active.value = index;
  });
}

/** Chooses one file alone. */
export function chooseOnly(index: number): void {
  const id = files.peek()[index]?.id;
  if (id === undefined) return;
  anchor = index;
  batch(() => {
    chosen.value = new Set([id]);
    active.value = index;
  });
}

/** Chooses the files from the last one that was chosen alone, or toggled, to this one; moves the focus there. */
export function chooseTo(index: number): void {
  batch(() => {
    moveTo(index);
    const [from, to] = [Math.min(anchor, active.peek()), Math.max(anchor, active.peek())];
    chosen.value = new Set(
      files
        .peek()
        .slice(from, to + 1)
        .map(({ id }) => id),
    );
  });
}

/** Chooses all files that have been fetched. */
export function chooseAll(): void {
  chosen.value = new Set(files.peek().map(({ id }) => id));
}

export function chooseNone(): void {
  chosen.value = new Set();
}
