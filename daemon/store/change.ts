import type { FileLocation, RemovedFile, StoredFile } from './records.js';

/**
 * One atomic change of the store: files to add, files to delete and other records, all or none of them. `DurableWriter.commit`
 * puts it into a batch. The batch calls the functions below in its phases (see `BatchCommit`), all of them synchronously:
 *
 *   write    `write` creates the files
 *   log      `alongside` runs inside the transaction that records the change
 *   sync     nothing is called
 *   finish   `finish` is called; then the files of `removed` are unlinked
 *
 * If a change fails in one of the first three phases, `undo` is called and its `commit` rejects. A deletion whose sync failed may
 * be on the disk and is completed later. In the finish phase the change is durable; an error still rejects its `commit`.
 */
export interface FileChange {
  /**
   * Creates the files and returns them, or throws and leaves none. They need not be synced. Runs in a read transaction that
   * all changes of the batch share.
   */
  write?(): StoredFile[];
  /**
   * Removes the files that `write` returned, if the change failed in a later phase; with an empty list if `write` itself
   * threw.
   */
  undo?(added: readonly StoredFile[]): void;
  /**
   * Called once when the change is durable, before `commit` settles and before files are unlinked. What it changes on the disk
   * becomes durable with the next sync. If it throws, `commit` rejects, but nothing is undone.
   */
  finish?(): void;
  /** Files to delete: their tombstones are written in the log phase, they are unlinked in the finish phase. Foreign files have
   * no tombstone and are unlinked before the log phase. */
  removed?: readonly RemovedFile[];
  /**
   * Makes further changes to the index in the transaction that records the change; called again if the transaction is retried.
   */
  alongside?(): void;
}

/** A change that waits for its batch or is being committed. */
export interface PendingChange extends FileChange {
  removed: readonly RemovedFile[];
  /** The files that `write` returned. */
  added: StoredFile[];
  /** The first error of the finish phase. */
  failure?: unknown;
  resolve(added: StoredFile[]): void;
  reject(error: unknown): void;
}

/** The locations of the files that changes delete. Without foreign files, which are unlinked before anything is recorded. */
export function deletionsOf(changes: readonly PendingChange[]): FileLocation[] {
  const deleted = changes.flatMap(({ removed }) => removed.filter((file) => !file.foreign));
  return deleted.map(toLocation);
}

export function toLocation({ storePath, directory, name }: FileLocation): FileLocation {
  return { storePath, directory, name };
}
