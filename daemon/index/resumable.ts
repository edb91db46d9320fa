import type Database from 'better-sqlite3';
import type { ResumableRecords, ResumableUpload } from '../store/resumable-records.js';

/** Records of resumable uploads. Changes are durable after the next sync. */
export class Resumable implements ResumableRecords {
  private readonly select;
  private readonly replace;
  private readonly delete;
  private readonly selectUntouched;

  constructor(database: Database.Database) {
    this.select = database.prepare<[string], ResumableUpload>('SELECT * FROM upload WHERE id = ?');
    this.replace = database.prepare<[ResumableUpload]>(
      `INSERT OR REPLACE INTO upload
       VALUES (@id, @size, @offset, @crc32, @storePath, @extension, @metadata, @touched, @file)`,
    );
    this.delete = database.prepare<[string]>('DELETE FROM upload WHERE id = ?');
    this.selectUntouched = database.prepare<[number, number], ResumableUpload>(
      'SELECT * FROM upload WHERE touched <= ? ORDER BY touched LIMIT ?',
    );
  }

  find(id: string): ResumableUpload | undefined {
    return this.select.get(id);
  }

  save(upload: ResumableUpload): void {
    this.replace.run(upload);
  }

  remove(id: string): void {
    this.delete.run(id);
  }

  untouchedSince(time: number, limit: number): ResumableUpload[] {
    return this.selectUntouched.all(time, limit);
  }
}
