/** The record of a resumable upload (one that is sent in pieces). */
export interface ResumableUpload {
  id: string;
  /** Bytes of the complete file. */
  size: number;
  /** Bytes that are on stable storage, and their CRC32. */
  offset: number;
  crc32: number;
  /** Number of the store path of its temporary file. */
  storePath: number;
  /** For the tail of the ID, without the dot; may be empty. */
  extension: string;
  /** The client's metadata, returned unchanged. */
  metadata: string;
  /** Time of its last change, in milliseconds since 1970. */
  touched: number;
  /** The ID of the stored file; null until the upload is complete and stored. */
  file: string | null;
}

/** The records of resumable uploads. The index implements it. */
export interface ResumableRecords {
  find(id: string): ResumableUpload | undefined;
  /** Inserts or replaces. */
  save(upload: ResumableUpload): void;
  remove(id: string): void;
  /** Uploads with `touched` before a time in milliseconds since 1970, the oldest first. */
  untouchedSince(time: number, limit: number): ResumableUpload[];
}
