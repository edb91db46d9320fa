import type Database from 'better-sqlite3';

/** A deletion that a peer told of, of a file on a store path that takes no deletions now. */
export interface DeferredDeletion {
  /** The whole ID. */
  id: string;
  /** Whether the peer had no record of the file. */
  foreign: boolean;
  storePath: number;
  /** The peer whose log told of it, and its sequence number there; 0 and 0 when anti-entropy found it, or those are forgotten. */
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

/** Deletions that wait for their store path. They are done when it is back, before it serves anything, whoever is there then. */
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

  /** Notes it, within the transaction that moves the cursor past it. */
  add({ peer, sequence, id, foreign, storePath }: DeferredDeletion): void {
    this.insert.run(peer, sequence, id, foreign ? 1 : 0, storePath);
  }

  /** It is done. */
  remove({ peer, sequence, id }: DeferredDeletion): void {
    this.delete.run(peer, sequence, id);
  }

  /** Some of those that wait for a store path. */
  on(storePath: number, limit: number): DeferredDeletion[] {
    return this.selectOn.all(storePath, limit).map(toDeletion);
  }

  /** The sequence numbers in a peer's log of the deletions that this node has not done. */
  sequencesOf(peer: number): number[] {
    return this.selectSequences.all(peer).map(({ number }) => number);
  }

  /** The sequence numbers in a peer's log mean other entries from now on. */
  forgetSequences(peer: number): void {
    this.forgetPeer.run(peer);
  }
}
