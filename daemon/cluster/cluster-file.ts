import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A peer's entry in the file of its group, for njs. */
export interface ClusterFileNode {
  /** URL with the resolved address: scheme, address and port. njs has no resolver. */
  origin: string;
  /** Host and port as in the settings, for the Host header and the check of the certificate. */
  host: string;
  /** Whether its nginx answers. */
  up: boolean;
  /** Whether its daemon answers, too. */
  well: boolean;
}

/** Version of the format. njs checks it (`njs/elsewhere.ts`), because nginx may still run the code of an earlier version. */
const VERSION = 2;

/** Name of the directory of the files, within that of nginx's files. */
export const CLUSTER_DIRECTORY = 'cluster';

/**
 * `<data>/nginx/cluster/<group>.json`: addresses and state of the peers of a group. njs reads that of a file's group if the file is not
 * on this node, so that what a miss costs does not depend on the size of the cluster. If it is torn and no daemon runs to repair it,
 * njs reads the second copy, `<group>.json.last`.
 */
export class ClusterFiles {
  private readonly directory: string;

  /** @param nginx directory of nginx's files */
  constructor(private readonly nginx: string) {
    this.directory = join(nginx, CLUSTER_DIRECTORY);
  }

  /**
   * Writes the first copy whose content on disk differs, because the state has changed or the file is corrupt. Called every
   * second. Throws if it cannot be written.
   */
  write(group: string, nodes: Record<string, ClusterFileNode>): void {
    const text = `${JSON.stringify({ version: VERSION, nodes })}\n`;
    const file = join(this.directory, `${group}.json`);
    // Only one copy per call, so that a crash cannot tear both.
    const wrong = [file, `${file}.last`].find((copy) => readText(copy) !== text);
    if (wrong === undefined) return;
    mkdirSync(this.directory, { recursive: true });
    writeFileSync(`${wrong}.new`, text, { mode: 0o644 });
    renameSync(`${wrong}.new`, wrong);
  }

  /** Removes the files of all other groups, and those of versions before 2. Throws if they cannot be removed. */
  keepOnly(groups: readonly string[]): void {
    for (const name of ['cluster.json', 'cluster.json.last']) rmSync(join(this.nginx, name), { force: true });
    for (const name of namesIn(this.directory)) {
      if (!groups.includes(name.split('.', 1)[0] as string)) rmSync(join(this.directory, name), { force: true });
    }
  }
}

/** The names in a directory; none if there is no such directory. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** The content of a file; undefined if it cannot be read. */
function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined; // the caller writes it, which reports a persistent error
  }
}
