import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { TestNode } from './node.js';
import { isStopped } from './power-cut.js';

/** The part of a node that is restored. */
export type SnapshotPart = 'everything' | 'the index' | 'the store path';

/** A copy of a node's disks at one moment, as a snapshot of a volume or a virtual machine. */
export class Snapshot {
  private constructor(
    private readonly node: TestNode,
    private readonly directory: string,
  ) {}

  /** Copies everything while the daemon is stopped. */
  static async take(t: Test, node: TestNode): Promise<Snapshot> {
    const directory = mkdtempSync(join(tmpdir(), 'fidfs-snapshot-'));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const daemon = node.daemonPid();
    process.kill(daemon, 'SIGSTOP');
    try {
      await node.until(() => isStopped(daemon), 'stopped');
      execFileSync('cp', ['-a', node.data, join(directory, 'data')]);
    } finally {
      process.kill(daemon, 'SIGCONT');
    }
    return new Snapshot(node, join(directory, 'data'));
  }

  /** Replaces the node's data, or a part of it, by the copy. The node must not run. */
  putBack(part: SnapshotPart): void {
    const names = {
      everything: ['.'],
      'the index': ['index.db', 'index.db-wal', 'index.db-shm'],
      'the store path': ['store0'],
    }[part];
    for (const name of names) {
      const [copy, place] = [join(this.directory, name), join(this.node.data, name)];
      rmSync(place, { recursive: true, force: true });
      if (existsSync(copy)) execFileSync('cp', ['-a', copy, place]);
    }
  }
}
