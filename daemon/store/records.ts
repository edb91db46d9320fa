/*
 * What the store needs to have written down about its files, and where it is written is none of its business: the
 * index implements this.
 */

/** Where a file lies on this node. */
export interface FileLocation {
  storePath: number;
  /** 0 to 65535. */
  directory: number;
  name: string;
}

/** What tells a client's wish from its echo: only the former goes into this node's replication log. */
interface Accepted {
  /** Whether a client asked this node for it; false for what is taken over from a peer. */
  accepted: boolean;
  /** Its number in the replication log; set when it is recorded, where there is a log. */
  sequence?: number | undefined;
}

/** A file with an ID of ours. */
export interface StoredFile extends FileLocation, Accepted {
  /** The whole ID: group1/M00/… */
  id: string;
  /** The ID's 20 bytes. */
  key: Buffer;
  size: number;
  crc32: number;
  /** 32 bytes. */
  sha256: Buffer;
  /** Seconds since 1970. */
  created: number;
  /** Where its bytes lie until they are durable, when only then it gets its name. */
  temporary?: string;
  /** Whether it is one more name of a file that was here before. */
  linked?: boolean;
}

/** A file to delete. A foreign one (not minted by this cluster) has no record and leaves no tombstone. */
export interface RemovedFile extends FileLocation, Accepted {
  key: Buffer;
  size: number;
  foreign: boolean;
}

/**
 * How far everything is known to be on stable storage. After a crash only what lies beyond is looked at again: files
 * created in this second or later, directories from this one on, tombstones from these counts on (by store path),
 * deletions whose tombstone or unlink may not have reached the disk, and copies whose bytes may not have.
 */
export interface Checkpoint {
  second: number;
  directory: number;
  tombstones: number[];
  deletions: FileLocation[];
  copies: FileLocation[];
  /** How many batches had changed each store path, as far as that is durable. */
  batches: number[];
}

/** One transaction: what came and went, and how far the batches before it have got. */
export interface Batch {
  added: StoredFile[];
  removed: RemovedFile[];
  checkpoint: Checkpoint;
  /** What else is to be written down in the same transaction. */
  alongside?: (() => void)[];
}

/** A record of one file. */
export interface FileRecord extends FileLocation {
  key: Buffer;
  sha256: Buffer;
}

export interface Records {
  /** The directory whose file system must be synced for records to be durable. */
  readonly directory: string;
  /** The open WAL of the index, for a sync of single files. */
  readonly walDescriptor: number;
  /** Writes a batch in one transaction; durable only after the next sync. Throws when it could not. */
  record(batch: Batch): void;
  /** Takes back added files whose sync failed. */
  withdraw(added: StoredFile[]): void;
  /** What was recorded so far is durable: from now on peers may be told of it. */
  publish(): void;
  /** Notes that a file should be here and is not: it is to be fetched from a peer. */
  markMissing(file: FileRecord): void;
  /** What peers were told that this node holds may not be so: everything is to be compared with them anew. */
  invalidateCursors(): void;
  /** Looks many things up in one transaction, which costs a fraction of one for each. */
  reading<Found>(look: () => Found): Found;
  find(key: Buffer): FileRecord | undefined;
  isDeleted(key: Buffer): boolean;
  /** The file with this key that should be here, is not, and is to be fetched. */
  findMissing(key: Buffer): FileRecord | undefined;
  /** The records that come after a key, in the order of their keys. */
  after(key: Buffer, limit: number): FileRecord[];
  /** The deleted keys that come after a key, in their order. */
  deletedAfter(key: Buffer, limit: number): Buffer[];
  /** Whether an upload that comes in pieces is still to be gone on with. */
  isResumable(id: string): boolean;
  /** The newest few of the files with this content. */
  findByContent(sha256: Buffer): FileRecord[];
  /** The records of files that this server id created in this second or later, in order. */
  createdSince(serverId: number, second: number): FileRecord[];
  /** The newest second that this server id used, in a file or a tombstone; 0 when there is none. */
  lastSecond(serverId: number): number;
  readonly checkpoint: Checkpoint;
}
