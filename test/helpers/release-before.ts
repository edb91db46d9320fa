import { join } from 'node:path';
import { COMMAND, type TestNode } from './node.js';

const { UPGRADE_FROM = '', UPGRADE_FROM_NAME = '"npm run test:upgrade" builds the release before' } = process.env;

/** The fidfs command of the release before this one, which `npm run test:upgrade` builds. */
export const RELEASE_BEFORE = join(UPGRADE_FROM, 'bin/fidfs.mjs');

/** Why upgrades cannot be tested; false when they can. */
export const noReleaseBefore: string | false = UPGRADE_FROM === '' && UPGRADE_FROM_NAME;

/** Stops a node, and starts it with this version. */
export async function upgrade(node: TestNode): Promise<void> {
  await node.stop();
  node.use(COMMAND);
  await node.start();
}

/** Stops a node, and starts it with the release before. Resolves with whether that made the index anew. */
export async function downgrade(node: TestNode): Promise<boolean> {
  await node.stop();
  return startBefore(node);
}

/**
 * Starts a node with the release before. Where that one refuses the index, because this version has changed its schema, it makes
 * the index anew, as docs/formats.md says. Resolves with whether it did.
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
