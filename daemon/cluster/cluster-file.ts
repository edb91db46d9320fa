import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A peer's entry in the cluster file, for njs. */
export interface ClusterFileNode {
  group: string;
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
const VERSION = 1;

/**
 * `<data>/nginx/cluster.json`: addresses and state of the peers. njs reads it for files that are not on this node. If it is
 * torn and no daemon runs to repair it, njs reads the second copy, `cluster.json.last`.
 */
export class ClusterFile {
  private readonly files: readonly [string, string];

  constructor(private readonly directory: string) {
    const file = join(directory, 'cluster.json');
    this.files = [file, `${file}.last`];
  }

  /**
   * Writes the first copy whose content on disk differs, because the state has changed or the file is corrupt. Called every
   * second. Throws if it cannot be written.
   */
  write(nodes: Record<string, ClusterFileNode>): void {
    const text = `${JSON.stringify({ version: VERSION, nodes })}\n`;
    // Only one copy per call, so that a crash cannot tear both.
    const wrong = this.files.find((file) => readText(file) !== text);
    if (wrong === undefined) return;
    mkdirSync(this.directory, { recursive: true });
    writeFileSync(`${wrong}.new`, text, { mode: 0o644 });
    renameSync(`${wrong}.new`, wrong);
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
