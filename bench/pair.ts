import { join } from 'node:path';
import { freePort } from '../test/helpers/ports.js';
import { type BenchServer, startServer } from './server.js';

/** Options of the start of one node. */
interface StartOptions {
  /** The node's directory within the pair's; default `node1` or `node2`. */
  place?: string;
  /** Settings of this start, as environment variables. */
  extra?: Record<string, string>;
  /** Timeout until it is ready, in seconds. */
  seconds?: number;
}

/** Two nodes that are peers of each other, started separately or together. */
export interface Pair {
  start(number: 0 | 1, options?: StartOptions): Promise<BenchServer>;
  /** Starts both at the same time: with `copies` 2 neither gets ready alone. */
  startBoth(): Promise<[BenchServer, BenchServer]>;
}

/**
 * Plans two nodes, with server ids 1 and 2, in `directory`.
 * @param extra settings of both, as environment variables
 * @param groups the group of each
 */
export async function planPair(
  directory: string,
  extra: Record<string, string> = {},
  groups: readonly [string, string] = ['group1', 'group1'],
): Promise<Pair> {
  const addresses = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`] as const;
  const start: Pair['start'] = (number, { place = `node${number + 1}`, extra: more = {}, seconds } = {}) => {
    const other = number === 0 ? 1 : 0;
    const environment = {
      ...{ FIDFS_SERVER_ID: String(number + 1), FIDFS_GROUP: groups[number], FIDFS_LISTEN: addresses[number] },
      FIDFS_PEERS: `${other + 1}@${groups[other]}=http://${addresses[other]}`,
      FIDFS_PEER_SECRET: 'bench-secret-0123456789',
    };
    return startServer(join(directory, place), { ...environment, ...extra, ...more }, seconds);
  };
  return { start, startBoth: () => Promise.all([start(0), start(1)]) };
}

/** The processes that handle requests: each node's daemon and nginx worker. */
export function pidsOf(...nodes: readonly BenchServer[]): number[] {
  return nodes.flatMap(({ daemonPid, workerPid }) => [daemonPid, workerPid]);
}
