import type Database from 'better-sqlite3';

/** A deletion replicated from a peer, of a file on an unavailable store path. */
export interface DeferredDeletion {
  /** The whole ID: group1/M00/… */
  id: string;
  /** Whether the peer had no record of the file. */
  foreign: boolean;
  storePath: number;
  /** The peer whose log contains it, and its sequence number there; both 0 if anti-entropy found it, or if cleared. */
  peer: number;
  sequence: number;
}

interface DeferredRow extends Omit<DeferredDeletion, 'foreign' | 'sequence'> {
  foreign: number;
  number: number;
}

function toDeletion({ peer, number: sequence, id, foreign, storePath }: DeferredRow): DeferredDeletion {
  return { peer, sequence, id, foreign: foreign === 1, storePath };
}

/**
 * Deletions that wait for their store path. They are applied when it is available again, before it serves files, even if no
 * peer is reachable then.
 */
export class DeferredDeletions {
  private readonly insert;
  private readonly delete;
  private readonly selectOn;
  private readonly selectSequences;
  private readonly forgetPeer;
  private readonly selectAny;

  constructor(database: Database.Database) {
    this.insert = database.prepare<[number, number, string, number, number]>(
      'INSERT OR IGNORE INTO deferred VALUES (?, ?, ?, ?, ?)',
    );
    this.delete = database.prepare<[number, number, string]>(
      'DELETE FROM deferred WHERE peer = ? AND number = ? AND id = ?',
    );
    this.selectOn = database.prepare<[number, number], DeferredRow>(
      'SELECT * FROM deferred WHERE storePath = ? LIMIT ?',
    );
    this.selectSequences = database.prepare<[number], { number: number }>('SELECT number FROM deferred WHERE peer = ?');
    this.forgetPeer = database.prepare<[number]>('UPDATE OR REPLACE deferred SET peer = 0, number = 0 WHERE peer = ?');
    this.selectAny = database.prepare<[], unknown>('SELECT 1 FROM deferred LIMIT 1');
  }

  get isEmpty(): boolean {
    return this.selectAny.get() === undefined;
  }

  /** To be called within the transaction that moves the cursor past the deletion. */
  add({ peer, sequence, id, foreign, storePath }: DeferredDeletion): void {
    this.insert.run(peer, sequence, id, foreign ? 1 : 0, storePath);
  }

  /** Removes a deletion that was applied. */
  remove({ peer, sequence, id }: DeferredDeletion): void {
    this.delete.run(peer, sequence, id);
  }

  /** Deletions that wait for a store path, at most `limit`, in no particular order. */
  on(storePath: number, limit: number): DeferredDeletion[] {
    return this.selectOn.all(storePath, limit).map(toDeletion);
  }

  /** Sequence numbers, in a peer's log, of the deletions that this node has not applied. */
  sequencesOf(peer: number): number[] {
    return this.selectSequences.all(peer).map(({ number }) => number);
  }

  /** Clears the sequence numbers of a peer's log, to be called when the cursor moves to another epoch. */
  forgetSequences(peer: number): void {
    this.forgetPeer.run(peer);
  }
}
