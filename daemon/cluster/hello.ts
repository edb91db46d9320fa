import { z } from 'zod';
import type { PeerSettings, Settings } from '../config/settings.js';

/** Version of the protocol between nodes. Nodes with different versions do not work together. */
export const PROTOCOL = 1;

/**
 * Version of the records that a node understands: 1, only those of normal files; 2, also those of slaves, metadata and other files
 * whose size is not in their name. A node sends another one only what that understands.
 */
export const RECORDS = 2;

const count = z.number().int().nonnegative();

/** Replication backlog of a node: entries of a peer's log that it does not hold, and the age of the oldest in seconds. */
const backlogSchema = z.object({ peer: count, entries: count, seconds: z.number().nonnegative() });

/** A node's state, the response to `/hello`. */
const helloSchema = z.object({
  protocol: count,
  version: z.string().max(100),
  serverId: count,
  group: z.string().max(16),
  /** Number of its store paths. */
  storePaths: count,
  /** Numbers of the store paths that are available, at least for deletions. */
  well: z.array(count).max(256),
  /** Numbers of the store paths without space for more files; absent in earlier versions. */
  full: z.array(count).max(256).default([]),
  /** Human-readable reason why it takes no uploads; null if it does. */
  trouble: z.string().max(2000).nullable(),
  /** The epoch of its replication log (the name is of earlier versions), and the last durable sequence number. */
  incarnation: z.string().max(64),
  end: count,
  /** The newest version of the digests that it computes; absent in earlier versions. */
  digests: count.min(1).default(1),
  /** The version of the records that it understands (`RECORDS`); absent in earlier versions. */
  records: count.min(1).default(1),
  files: count,
  bytes: count,
  /** Bytes of files that are hard links to another one, included in `bytes`; absent in earlier versions. */
  saved: count.default(0),
  /** Files and bytes that clients have uploaded since the start, and requests that nginx has answered itself; null if unknown. */
  uploads: count.default(0),
  uploadedBytes: count.default(0),
  downloads: count.nullable().default(null),
  /** Size of the file systems of its store paths, in bytes. */
  capacity: count,
  /** Bytes available for new files. */
  available: count,
  backlog: z.array(backlogSchema).max(1000),
  /** Number of missing files, and of those set aside after too many tries. */
  missing: count,
  setAside: count,
  /** Number of files of FastDFS without a record, which only this node has; absent in earlier versions. */
  foreign: count.default(0),
  /** Every file was checked after this time, in seconds since 1970. */
  oldestScrub: count,
  /** Where it serves the storage commands of FastDFS's protocol; null if nowhere. The address is null if the settings have none. */
  fastdfs: z
    .object({ address: z.string().max(45).nullable(), port: count.max(65535) })
    .nullable()
    .default(null),
  /** Whether downloads of its group need signed links; absent in earlier versions. */
  signed: z.boolean().optional(),
  /** Fingerprints of the settings that must be equal on all nodes; absent in earlier versions. */
  shared: z.record(z.string().max(40), z.string().max(64)).optional(),
  /** Human-readable alarms. */
  alarms: z.array(z.string().max(2000)).max(100),
});

export type Hello = z.output<typeof helloSchema>;

/** Parses a hello. Throws WrongPeer for another version of the protocol, and a ZodError if it is malformed. */
export function parseHello(told: unknown): Hello {
  const version = z.object({ protocol: count }).parse(told).protocol;
  // The hello of another version may have another schema.
  if (version !== PROTOCOL)
    throw new WrongPeer(`it speaks protocol ${version}, this node ${PROTOCOL}; run the same version`);
  return helloSchema.parse(told);
}

/** The settings of a peer do not match this node's. */
export class WrongPeer extends Error {
  override name = 'WrongPeer';
}

/** Throws WrongPeer, with both values, if a peer's hello does not match this node's settings. */
export function checkPeer(hello: Hello, peer: PeerSettings, settings: Pick<Settings, 'group' | 'storePaths'>): void {
  const { serverId, group, storePaths } = hello;
  if (serverId !== peer.id) throw new WrongPeer(`it has serverId ${serverId}, peers here say ${peer.id}`);
  if (group !== peer.group) throw new WrongPeer(`it is in group ${group}, peers here say ${peer.group}`);
  if (group === settings.group && storePaths !== settings.storePaths.length) {
    const here = settings.storePaths.length;
    throw new WrongPeer(
      `it has ${storePaths} store path${storePaths === 1 ? '' : 's'}, this node ${here}; all nodes of a group have the same number`,
    );
  }
}
