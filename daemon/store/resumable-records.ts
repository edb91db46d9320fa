/** An upload that comes in pieces, as it is written down. */
export interface ResumableUpload {
  id: string;
  /** Bytes that it is to have. */
  size: number;
  /** Bytes that are on stable storage, and their CRC32. */
  offset: number;
  crc32: number;
  /** The number of the store path that its temporary file is on. */
  storePath: number;
  /** For the ID's name; may be empty. */
  extension: string;
  /** What the client says of it, for the client. */
  metadata: string;
  /** When there was news of it, in milliseconds since 1970. */
  touched: number;
  /** The ID of the file that it has become; null before. */
  file: string | null;
}

/** Where uploads in pieces are written down; the index implements it. */
export interface ResumableRecords {
  find(id: string): ResumableUpload | undefined;
  /** Adds it, or replaces what was written down of it. */
  save(upload: ResumableUpload): void;
  remove(id: string): void;
  /** Those without news since a time in milliseconds, the oldest first. */
  untouchedSince(time: number, limit: number): ResumableUpload[];
}
