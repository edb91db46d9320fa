import { join } from 'node:path';
import { COMMAND, type TestNode } from './node.js';

const { UPGRADE_FROM = '', UPGRADE_FROM_NAME = '"npm run test:upgrade" builds the release before' } = process.env;

/** The fidfs command of the previous release, which `npm run test:upgrade` builds. */
export const RELEASE_BEFORE = join(UPGRADE_FROM, 'bin/fidfs.mjs');

/** Reason to skip tests of upgrades; false if they can run. */
export const noReleaseBefore: string | false = UPGRADE_FROM === '' && UPGRADE_FROM_NAME;

/** Stops a node and starts it with this version. */
export async function upgrade(node: TestNode): Promise<void> {
  await node.stop();
  node.use(COMMAND);
  await node.start();
}

/** Stops a node and starts it with the previous release. Resolves with whether that needed a rebuild of the index. */
export async function downgrade(node: TestNode): Promise<boolean> {
  await node.stop();
  return startBefore(node);
}

/**
 * Starts a node with the previous release. If that release refuses the index, because this version has a newer schema,
 * rebuilds the index, as docs/formats.md says. Resolves with whether it did.
 */
export async function startBefore(node: TestNode): Promise<boolean> {
  node.use(RELEASE_BEFORE);
  try {
    await node.start();
    return false;
  } catch (error) {
    if (!/the index .* has version \d+, this fidfs knows \d+/.test((error as Error).message)) throw error;
    const { status, stderr } = await node.command('rebuild');
    if (status !== 0) throw new Error(`rebuild: ${stderr}`, { cause: error });
    await node.start();
    return true;
  }
}
