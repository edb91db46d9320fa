import fileId from '../../file-id/file-id.js';
import type { Peer } from '../cluster/cluster.js';
import { parseHello } from '../cluster/hello.js';
import { chooseDestination } from '../cluster/placement.js';
import type { Node } from '../status.js';
import type { StoredFile } from '../store/records.js';
import { sentence } from '../words.js';
import { Problem } from './problems.js';

/*
 * What every upload passes, by whichever protocol it comes: whether uploads are taken, the choice of a group, and the wait for the
 * copies.
 */

const HELLO_MILLISECONDS = 1000;

/** Throws a Problem (`unavailable`) if uploads cannot be recorded or replicated now. */
export function assertUploadsAreTaken({ index, copyPolicy }: Pick<Node, 'index' | 'copyPolicy'>): void {
  if (index.damage !== undefined)
    throw new Problem('unavailable', sentence(`No uploads are taken now: ${index.damage}`));
  if (copyPolicy.unavailable === undefined) return;
  throw new Problem('unavailable', `Too few nodes are up now: ${copyPolicy.unavailable}. Try again in a few seconds.`);
}

/**
 * Resolves when files that are durable on this node have their copies. If these are not made in time, removes the files and
 * rejects with a Problem (`unavailable`). A slave is kept: its name could not be used again.
 */
export async function waitForCopies(
  files: StoredFile[],
  { store, copyPolicy }: Pick<Node, 'store' | 'copyPolicy'>,
): Promise<void> {
  if (await copyPolicy.waitForAcknowledgements(files)) return;
  if (files.some(({ version }) => version === 0)) {
    const words =
      'This slave is stored, but fewer nodes than promised have it so far; they get it when they are up again.';
    throw new Problem('unavailable', words);
  }
  await Promise.all(files.map(({ id }) => store.remove(fileId.decode(id))));
  throw new Problem('unavailable', 'The promised copies were not made in time, so nothing was kept; try again.');
}

/**
 * Resolves when a change of a file that is durable on this node has its copies. Rejects with a Problem (`unavailable`) if they are not
 * made in time; the change is not undone, because its name cannot be used again.
 */
export async function waitForChange(changed: StoredFile, { copyPolicy }: Pick<Node, 'copyPolicy'>): Promise<void> {
  if (await copyPolicy.waitForAcknowledgements([changed])) return;
  throw new Problem('unavailable', 'The promised copies were not made in time; fewer nodes have it so far.');
}

/**
 * Chooses the node of another group that receives an upload; undefined if it is stored on this node. `wanted` are the groups
 * that it may go to, mostly the one that the client asks for; any if undefined. Rejects with a Problem (`no-such-group`, `unavailable`).
 * @param isSuitable which nodes of other groups may be chosen
 */
export async function otherGroupFor(
  node: Pick<Node, 'cluster' | 'index' | 'store' | 'copyPolicy'>,
  wanted: readonly string[] | undefined,
  isSuitable: (peer: Peer) => boolean = () => true,
): Promise<Peer | undefined> {
  const { cluster, index, store, copyPolicy } = node;
  // In a cluster of one group there is no choice, but the client may ask for another group.
  if (cluster.groups.length === 1 && (wanted?.includes(cluster.ownGroup) ?? true)) return undefined;
  const available = store.paths.reduce(
    (sum, { space, unavailable }) => sum + (unavailable === undefined ? space.available : 0),
    0,
  );
  const own = { available, unavailable: index.damage ?? store.unavailable ?? copyPolicy.unavailable };
  const left = new Set(wanted ?? cluster.groups);
  for (;;) {
    const destination = chooseDestination(cluster, own, left);
    if (!destination) break;
    if (destination.group === cluster.ownGroup) return undefined;
    const peer = await firstToTake(destination.peers.filter(isSuitable));
    if (peer) return peer;
    left.delete(destination.group);
  }
  if (wanted && !wanted.some((group) => cluster.groups.includes(group))) {
    throw new Problem('no-such-group', `There is no group ${wanted.join(', ')}.`);
  }
  throw new Problem('unavailable', 'No node takes uploads for this now; try again in a few seconds.');
}

/**
 * The first of these nodes that answers a hello and accepts uploads. Asked before forwarding, because a body can be sent to
 * one node only.
 */
async function firstToTake(peers: readonly Peer[]): Promise<Peer | undefined> {
  for (const peer of peers) {
    try {
      const { trouble } = parseHello(await peer.client.askJson('/hello', { timeout: HELLO_MILLISECONDS }));
      if (trouble === null) return peer;
    } catch {
      // It has gone down since its last hello: try the next one.
    }
  }
  return undefined;
}
