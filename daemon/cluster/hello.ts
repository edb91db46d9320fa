import { z } from 'zod';
import type { PeerSettings, Settings } from '../config/settings.js';

/** The version of what nodes say to each other; nodes of different ones do not work together. */
export const PROTOCOL = 1;

const count = z.number().int().nonnegative();

/** How far a node is behind a peer: entries of that peer's log, and the age of the oldest of them. */
const backlogSchema = z.object({ peer: count, entries: count, seconds: z.number().nonnegative() });

/** What a node says of itself when a peer asks. */
const helloSchema = z.object({
  protocol: count,
  version: z.string().max(100),
  serverId: count,
  group: z.string().max(16),
  /** How many store paths it has. */
  storePaths: count,
  /** The numbers of those that take files, or at least deletions, */
  well: z.array(count).max(256),
  /** and of those that have no room for more files; a node of an earlier version does not say. */
  full: z.array(count).max(256).default([]),
  /** Why it takes no uploads, for people; null when it does. */
  trouble: z.string().max(2000).nullable(),
  /** The epoch of its replication log (nodes of earlier versions call it so), and its newest number. */
  incarnation: z.string().max(64),
  end: count,
  /** The newest version of the digests that it computes; a node of an earlier version does not say. */
  digests: count.min(1).default(1),
  files: count,
  bytes: count,
  /** Of those, bytes that are stored once with others; a node of an earlier version does not say. */
  saved: count.default(0),
  /** What clients have uploaded there since it began, and what its nginx answered alone; null where that is not known. */
  uploads: count.default(0),
  uploadedBytes: count.default(0),
  downloads: count.nullable().default(null),
  capacity: count,
  /** Bytes that new files may take. */
  available: count,
  backlog: z.array(backlogSchema).max(1000),
  /** Files that should be there and are not, and how many of them are set aside after failing. */
  missing: count,
  setAside: count,
  /** Since when every file there has been checked, in seconds since 1970. */
  oldestScrub: count,
  /** What is in danger there, for people. */
  alarms: z.array(z.string().max(2000)).max(100),
});

export type Hello = z.output<typeof helloSchema>;

/** Throws when it is none. */
export function parseHello(told: unknown): Hello {
  const version = z.object({ protocol: count }).parse(told).protocol;
  // Another protocol's hello may have another form.
  if (version !== PROTOCOL)
    throw new WrongPeer(`it speaks protocol ${version}, this node ${PROTOCOL}; run the same version`);
  return helloSchema.parse(told);
}

/** A peer whose settings do not go with this node's. */
export class WrongPeer extends Error {
  override name = 'WrongPeer';
}

/** Throws WrongPeer, naming both values, when a peer is not what the settings here say, or cannot be in one group. */
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
