import type { FileLocation, RemovedFile, StoredFile } from './records.js';

/** Files that come and go together: all of them, or none. */
export interface FileChange {
  /** Writes the files that come, all or none, to the page cache; called when the batch begins. */
  write?(): StoredFile[];
  /** Removes what `write` has written, where that could not be made durable. */
  undo?(added: readonly StoredFile[]): void;
  /** Called when it is durable, before `commit` settles. What it does is durable with the next batch only. */
  finish?(): void;
  removed?: readonly RemovedFile[];
  /** What else is to be written down in the same transaction; called again where that has to be repeated. */
  alongside?(): void;
}

/** A change that waits for its batch, or is in it. */
export interface PendingChange extends FileChange {
  removed: readonly RemovedFile[];
  /** What `write` has written. */
  added: StoredFile[];
  /** What went wrong after it had become durable. */
  failure?: unknown;
  resolve(added: StoredFile[]): void;
  reject(error: unknown): void;
}

/** Where the files lie that changes delete. Foreign ones are not among them: those are gone before anything is recorded. */
export function deletionsOf(changes: readonly PendingChange[]): FileLocation[] {
  const deleted = changes.flatMap(({ removed }) => removed.filter((file) => !file.foreign));
  return deleted.map(toLocation);
}

export function toLocation({ storePath, directory, name }: FileLocation): FileLocation {
  return { storePath, directory, name };
}
