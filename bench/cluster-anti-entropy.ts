import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseHello } from '../daemon/cluster/hello.js';
import { Peer } from '../daemon/cluster/peer.js';
import { PeerClient } from '../daemon/cluster/peer-client.js';
import { Index } from '../daemon/index/index.js';
import { AntiEntropy, type AntiEntropyParts } from '../daemon/replication/anti-entropy.js';
import { RateLimit } from '../daemon/replication/rate-limit.js';
import { fillIndex } from './index-size.js';
import { planPair } from './pair.js';
import { withSpread } from './table.js';

const FILES = 1_000_000;

/**
 * Measures anti-entropy between two nodes that have the same 1,000,000 files. One is a running node; the other is this
 * process, which runs the same code as a node, over HTTP and nginx. Both compute digests at the same time, as two nodes do.
 * Returns a table row.
 */
export async function benchAntiEntropy(directory: string, rounds: number): Promise<string[]> {
  const own = join(directory, 'own');
  const theirs = join(directory, 'node2', 'data');
  await fillIndex(own, FILES);
  mkdirSync(theirs, { recursive: true });
  copyFileSync(join(own, 'index.db'), join(theirs, 'index.db'));
  // Without the scrub, because the files of the records do not exist.
  const pair = await planPair(directory, { FIDFS_SCRUB_DAYS: '0', FIDFS_COPIES: '1' });
  const node = await pair.start(1);
  const index = new Index(join(own, 'index.db'));
  const address = { id: node.settings.serverId, group: node.settings.group, url: node.origin };
  const client = new PeerClient(address, 1, node.settings.peerSecret ?? '');
  const peer = new Peer(address, client);
  const antiEntropy = new AntiEntropy(partsFor(index));
  const times: number[] = [];
  try {
    peer.hello = parseHello(await client.askJson('/hello'));
    for (let round = 0; round < rounds; round++) {
      const started = performance.now();
      const isComplete = await antiEntropy.run(peer, new AbortController().signal);
      times.push((performance.now() - started) / 1000);
      if (!isComplete) throw new Error('the digests are not equal');
    }
  } finally {
    await client.close();
    await index.close();
    await node.stop();
  }
  return ['comparing 1,000,000 files each, all equal', '', withSpread(times, ' s'), '', '', '', ''];
}

/** The parts of anti-entropy; without differences it uses the index only. */
function partsFor(index: Index): AntiEntropyParts {
  const unneeded = (): never => {
    throw new Error('the digests are not equal');
  };
  const none = new Proxy({}, { get: unneeded });
  return {
    ...{ group: 'group1', index, paths: [], limit: new RateLimit(Number.POSITIVE_INFINITY), info: unneeded },
    alarms: { raise: unneeded, clear: () => {} },
    copies: none as AntiEntropyParts['copies'],
    fetcher: none as AntiEntropyParts['fetcher'],
  };
}
