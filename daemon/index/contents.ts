import type Database from 'better-sqlite3';
import type { StoredFile } from '../store/records.js';

/** So many files of one content are enough to find one to link to; hardly ever is the first of no use. */
const NEWEST = 4;

/** A file's row, as far as its content goes. */
interface ContentOf {
  key: Buffer;
  place: number;
  sha256: Buffer;
}

/** Which files hold the same bytes, and which of them are one more name of another one. */
export class Contents {
  private readonly insert;
  private readonly delete;
  private readonly selectNewest;
  private readonly selectKeys;
  private readonly selectLinked;
  private readonly updateLinked;

  constructor(database: Database.Database) {
    this.insert = database.prepare<[number, Buffer, number]>('INSERT INTO content VALUES (?, ?, ?)');
    this.delete = database.prepare<[number, Buffer], { linked: number }>(
      'DELETE FROM content WHERE prefix = ? AND key = ? RETURNING linked',
    );
    // Without the file's row: to open a join that finds nothing takes ten times as long.
    // With the limit as a parameter SQLite plans it anew each time: 3.8 us, not 0.8.
    this.selectNewest = database.prepare<[number], { key: Buffer }>(
      `SELECT key FROM content WHERE prefix = ? ORDER BY key DESC LIMIT ${NEWEST}`,
    );
    this.selectKeys = database.prepare<[number], { key: Buffer }>('SELECT key FROM content WHERE prefix = ?');
    this.selectLinked = database.prepare<[number], ContentOf>(
      'SELECT file.* FROM content JOIN file ON file.key = content.key WHERE prefix = ? AND linked = 1',
    );
    this.updateLinked = database.prepare<[number, Buffer]>(
      'UPDATE content SET linked = 0 WHERE prefix = ? AND key = ?',
    );
  }

  add({ sha256, key, linked = false }: StoredFile): void {
    this.insert.run(prefixOf(sha256), key, linked ? 1 : 0);
  }

  /** Whether the bytes stay, under another name. To be called when the file's row is gone. */
  remove(file: ContentOf): boolean {
    const wasLink = this.delete.get(prefixOf(file.sha256), file.key)?.linked === 1;
    return wasLink || this.promoteLink(file);
  }

  /** The newest few keys of this content; rarely one of another content, whose SHA-256 begins alike. */
  newestOf(sha256: Buffer): Buffer[] {
    return this.selectNewest.all(prefixOf(sha256)).map(({ key }) => key);
  }

  /** As `newestOf`, all keys. */
  keysOf(sha256: Buffer): Buffer[] {
    return this.selectKeys.all(prefixOf(sha256)).map(({ key }) => key);
  }

  /** Makes a link the new hard-link source of a content whose source row is gone. False when there is none. */
  private promoteLink({ sha256, place }: ContentOf): boolean {
    const source = this.findLinked(sha256, place >>> 16);
    if (source) this.updateLinked.run(prefixOf(sha256), source.key);
    return source !== undefined;
  }

  private findLinked(sha256: Buffer, storePath: number): ContentOf | undefined {
    // There may be tens of thousands; the first will do.
    for (const row of this.selectLinked.iterate(prefixOf(sha256))) {
      if (row.sha256.equals(sha256) && row.place >>> 16 === storePath) return row;
    }
    return undefined;
  }
}

/** 48 bits, which JavaScript counts with exactly. */
function prefixOf(sha256: Buffer): number {
  return sha256.readUIntBE(0, 6);
}
