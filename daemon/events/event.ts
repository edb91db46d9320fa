import fileId from '../../file-id/file-id.js';
import type { OutboxEntry } from '../index/outbox.js';

/** An upload or a deletion, as it is published in JSON. */
export interface Event {
  type: 'stored' | 'deleted';
  /** The whole ID: group1/M00/… */
  id: string;
  /** Bytes; null for the deletion of a file that had no record. */
  size: number | null;
  /** In hex; null as `size`. */
  sha256: string | null;
  /** When the file was created, by its ID (ISO 8601). */
  created: string;
  group: string;
  site: string;
  /** The server id of the node that accepted the upload or deletion. */
  node: number;
  /** Position among the events of the node. */
  number: number;
  /** When the node recorded it (ISO 8601). */
  time: string;
}

/** An event, and what distinguishes it from all others. */
export interface Identified {
  /** The same whenever the event is sent again: server id, epoch of the log, and number. */
  uniqueId: string;
  event: Event;
}

/** What the events of a node have in common. */
export interface Origin {
  group: string;
  site: string;
  serverId: number;
}

/** Seconds since 1970 in ISO 8601, as in the answers to uploads. */
function secondText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

export function toEvent(entry: OutboxEntry, { group, site, serverId }: Origin): Identified {
  const { number, epoch, storePath, directory, name, size, sha256 } = entry;
  const event: Event = {
    type: entry.isDeletion ? 'deleted' : 'stored',
    id: fileId.join(group, storePath, directory, name),
    size: size ?? null,
    sha256: sha256?.toString('hex') ?? null,
    created: secondText(entry.key.readUInt32BE(4)),
    ...{ group, site, node: serverId, number },
    time: new Date(entry.time).toISOString(),
  };
  return { uniqueId: `${serverId}-${epoch}-${number}`, event };
}
