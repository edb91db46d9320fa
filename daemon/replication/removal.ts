import type { DeferredDeletion } from '../index/deferred.js';
import type { Index } from '../index/index.js';
import type { Copies } from '../store/copies.js';
import { decodeRecorded, keyOf } from '../store/names.js';
import type { RemovedFile } from '../store/records.js';
import { PAGE_ENTRIES } from './page.js';

export interface RemovalParts {
  group: string;
  index: Index;
  copies: Copies;
  /** Number of store paths. */
  storePaths: number;
  warn(message: string, error: unknown): void;
}

/**
 * Applies deletions of peers, each store path by itself, so that an unavailable one does not block the others. Its deletions
 * are deferred in the index and applied when it is available again, even after a restart and without the peer.
 */
export class Removal {
  constructor(private readonly parts: RemovalParts) {}

  /** Applies deletions. Resolves with those that the caller must defer, in the transaction that moves its cursor. */
  async remove(told: readonly DeferredDeletion[]): Promise<DeferredDeletion[]> {
    const deferred: DeferredDeletion[] = [];
    for (const storePath of new Set(told.map((one) => one.storePath))) {
      const here = told.filter((one) => one.storePath === storePath);
      if (!(await this.attempt(storePath, here))) deferred.push(...here);
    }
    return deferred;
  }

  /** Applies the deferred deletions of the store paths that are available. */
  async removeDeferred(): Promise<void> {
    const { deferred } = this.parts.index;
    for (let storePath = 0; storePath < this.parts.storePaths; storePath++) {
      for (;;) {
        const some = deferred.on(storePath, PAGE_ENTRIES);
        const done = () => {
          for (const one of some) deferred.remove(one);
        };
        if (some.length === 0 || !(await this.attempt(storePath, some, done))) break;
      }
    }
  }

  private async attempt(
    storePath: number,
    some: readonly DeferredDeletion[],
    alongside: () => void = () => {},
  ): Promise<boolean> {
    const { copies, warn } = this.parts;
    if (copies.isUnavailable(storePath)) return false;
    try {
      await copies.take({ copies: [], removed: some.map((one) => this.toRemoved(one)), alongside });
      return true;
    } catch (error) {
      warn('deletions of peers could not be applied on this node; they are retried', error);
      return false;
    }
  }

  private toRemoved({ id, foreign }: DeferredDeletion): RemovedFile {
    const { name, storePath, directory } = decodeRecorded(id);
    const key = keyOf(name);
    // A file with a record on this node is not foreign, even if the peer has no record of it.
    const isForeign = foreign && !this.parts.index.find(key);
    return { key, storePath, directory, name, foreign: isForeign, accepted: false };
  }
}
