/*
 * The records that the store keeps about its files, as an interface: the store does not depend on a database. The index
 * implements it.
 */

/** The location of a file on this node. */
export interface FileLocation {
  /** 0 to 255. */
  storePath: number;
  /** 0 to 65535. */
  directory: number;
  name: string;
}

/** Distinguishes requests of clients from copies of them: only the former are in this node's replication log. */
interface Accepted {
  /** Whether this node accepted the upload or deletion from a client; false if it was replicated from a peer. */
  accepted: boolean;
  /** Its sequence number in the replication log; set when it is recorded, if there is a log. */
  sequence?: number | undefined;
}

/**
 * The version of a file whose name does not determine its content: milliseconds since 1970 of its last change, 0 for a slave.
 * Undefined for other files, which never change. See `supersedes`.
 */
export type Version = number;

/** A stored file with an ID of this cluster. */
export interface StoredFile extends FileLocation, Accepted {
  /** The whole ID: group1/M00/… */
  id: string;
  /** 20 bytes; see `keyOf` in names.ts. */
  key: Buffer;
  /** Bytes. */
  size: number;
  crc32: number;
  /** 32 bytes. */
  sha256: Buffer;
  version?: Version | undefined;
  /** Seconds since 1970. */
  created: number;
  /** Path of its temporary file, if it is renamed to its final name only after the sync. */
  temporary?: string;
  /** Whether an existing file was changed, so that it lies in an old directory. */
  inPlace?: boolean;
  /** The record that this one replaces. */
  replaced?: FileRecord | undefined;
  /** Whether it is a hard link to a file that existed before. */
  linked?: boolean;
  /** Whether the file was on the disk before, under an ID that this node has not assigned now. */
  existed?: boolean;
}

/** A file to delete. */
export interface RemovedFile extends FileLocation, Accepted {
  /** 20 bytes; see `keyOf` in names.ts. */
  key: Buffer;
  /** Whether its ID was not made by this cluster. A foreign file has no record and gets no tombstone. */
  foreign: boolean;
  /** Whether recovery found its tombstone while its record was still there: a crash came between the two. */
  recovered?: boolean;
}

/**
 * Everything before the checkpoint is on stable storage. Recovery after a crash checks only what lies beyond it.
 */
export interface Checkpoint {
  /** Files created in this second (since 1970) or later may not be durable. */
  second: number;
  /** New files may be in this directory and the following ones. */
  directory: number;
  /** By store path: tombstones from this count on may not be durable. */
  tombstones: number[];
  /** Deletions whose tombstone or unlink may not be durable. */
  deletions: FileLocation[];
  /** Files with a temporary name whose bytes may not be durable: copies, and what this node accepted under a public name. */
  copies: (FileLocation & { accepted?: boolean })[];
  /** By store path: the durable number of batches that have changed it. */
  batches: number[];
}

/** The content of one transaction. The checkpoint covers the batches before it. */
export interface Batch {
  added: StoredFile[];
  removed: RemovedFile[];
  checkpoint: Checkpoint;
  /** Make further changes in the same transaction. */
  alongside?: (() => void)[];
}

/** The record of a file. */
export interface FileRecord extends FileLocation {
  key: Buffer;
  /** Bytes. */
  size: number;
  sha256: Buffer;
  version?: Version | undefined;
}

/**
 * Whether a file replaces a recorded one of the same name: it has a greater version, or a greater SHA-256 with the same version.
 * So nodes that have recorded different contents for a name end with the same one.
 */
export function supersedes(
  one: Pick<FileRecord, 'version' | 'sha256'>,
  recorded: Pick<FileRecord, 'version' | 'sha256'>,
): boolean {
  if (one.version === undefined || recorded.version === undefined) return false;
  if (one.version !== recorded.version) return one.version > recorded.version;
  return one.sha256.compare(recorded.sha256) > 0;
}

/** See `Records.withdraw`. */
export type WithdrawnFile = Pick<StoredFile, 'key' | 'replaced'>;

export interface Records {
  /** The data directory. A sync of its file system makes records durable. */
  readonly directory: string;
  /** The open WAL of the index, for `sync: file`. */
  readonly walDescriptor: number;
  /** Writes a batch in one transaction. Durable after the next sync. Throws if the transaction failed. */
  record(batch: Batch): void;
  /**
   * Removes the records of files that are not on the disk: their sync failed, or they were lost or damaged. Restores those that they
   * replaced.
   */
  withdraw(files: readonly WithdrawnFile[]): void;
  /** Makes all entries recorded so far visible to peers that follow the replication log. To be called when they are durable. */
  publish(): void;
  /** Records that this node should hold a file but does not. It is fetched from a peer. */
  markMissing(file: FileRecord): void;
  /**
   * Invalidates the cursors in the logs of peers: acknowledged files may be lost, so that anti-entropy has to compare
   * everything.
   */
  invalidateCursors(): void;
  /** Runs lookups in one read transaction, which is much faster than one transaction for each. */
  reading<Found>(look: () => Found): Found;
  find(key: Buffer): FileRecord | undefined;
  isDeleted(key: Buffer): boolean;
  /** The missing file with this key (see `markMissing`). */
  findMissing(key: Buffer): FileRecord | undefined;
  /** Records of all appenders. */
  appenders(): FileRecord[];
  /**
   * Records of slaves and other files whose size is not in their name, and of such files that are missing, whose keys begin with the
   * same 8 bytes (source and second).
   */
  others(key: Buffer): FileRecord[];
  /** Records with greater keys, ordered by key. */
  after(key: Buffer, limit: number): FileRecord[];
  /** Greater deleted keys, in order. */
  deletedAfter(key: Buffer, limit: number): Buffer[];
  /** Whether there is a resumable upload with this id. */
  isResumable(id: string): boolean;
  /** The newest files with this content, a few at most. */
  findByContent(sha256: Buffer): FileRecord[];
  /** Records of files that this server id created in this second or later, ordered by key. */
  createdSince(serverId: number, second: number): FileRecord[];
  /** The newest second that this server id used in the ID of a file or a tombstone; 0 if there is none. */
  lastSecond(serverId: number): number;
  readonly checkpoint: Checkpoint;
}
