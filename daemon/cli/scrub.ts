import { setTimeout as sleep } from 'node:timers/promises';
import type { ScrubProgress } from '../replication/scrub.js';
import type { Client } from './client.js';
import { CommandFailed } from './errors.js';
import { formatBytes, progressBar } from './output.js';

const LOOK_MILLISECONDS = 200;

/**
 * Starts a scrub of the running node and shows its progress until the end. `isAlone` is whether its group has no other node.
 * Rejects with CommandFailed.
 */
export async function scrub(client: Client): Promise<{ report: ScrubProgress; isAlone: boolean }> {
  await client.scrub();
  let bar: ReturnType<typeof progressBar>;
  try {
    for (;;) {
      const { scrub, peers, group } = await client.status();
      if (scrub.last) return { report: scrub.last, isAlone: !peers.some((peer) => peer.group === group) };
      if (scrub.failure !== null) throw new CommandFailed(`the scrub was aborted: ${scrub.failure}`);
      const { progress } = scrub;
      if (progress) {
        bar ??= progressBar('{bar} {percentage}% | files: {files}, {size}', progress.of);
        bar?.update(progress.files, { files: progress.files, size: formatBytes(progress.bytes) });
      }
      await sleep(LOOK_MILLISECONDS);
    }
  } finally {
    bar?.stop();
  }
}
