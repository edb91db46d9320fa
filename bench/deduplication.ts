import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { pidsOf } from './pair.js';
import { type BenchServer, startServer } from './server.js';
import { markdownTable } from './table.js';
import { row } from './uploads.js';
import { interleave, type Load, postScript } from './wrk.js';

const ROUNDS = 7;

/** 1 KB uploads that are all duplicates, all new, and all new to a node that does not look. Returns a table. */
export async function measureDeduplication(directory: string): Promise<string> {
  const on = await startServer(join(directory, 'on'));
  const off = await startServer(join(directory, 'off'), { FIDFS_DEDUPLICATE: 'false' });
  try {
    const load = (node: BenchServer, name: string, newAt?: number): Load => {
      const body = randomBytes(1000);
      const script = postScript(directory, name, { key: node.key, type: 'image/jpeg', body, newAt });
      return { origin: node.origin, script, connections: 64, seconds: 3, pids: pidsOf(node) };
    };
    const runs = await interleave(
      { duplicates: load(on, 'duplicates'), fresh: load(on, 'fresh', 0), without: load(off, 'without', 0) },
      ROUNDS,
    );
    return markdownTable([
      ['1 KB uploads, c64', 'reference', 'ops/s', 'CPU us/op', 'reference, ops/s', 'CPU us/op', 'ratio'],
      row('all duplicates', 'all new', runs.duplicates, runs.fresh),
      row('all new, `deduplicate` on', 'the same, off', runs.fresh, runs.without),
    ]);
  } finally {
    await Promise.all([on.stop(), off.stop()]);
  }
}
