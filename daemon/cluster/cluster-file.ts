import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A peer as njs sees it. */
export interface ClusterFileNode {
  group: string;
  /** Scheme, address and port: njs has no resolver. */
  origin: string;
  /** Host and port as the settings name them, for the Host header and the name in a certificate. */
  host: string;
  /** Whether it serves files. */
  up: boolean;
  /** Whether its daemon is there, too. */
  well: boolean;
}

/** The version of the file's form. njs checks it (`njs/elsewhere.ts`): nginx may still run what an earlier version loaded. */
const VERSION = 1;

/**
 * `<data>/nginx/cluster.json`: where peers are and which of them are alive, for njs to read on a miss. A second copy,
 * `cluster.json.last`, is what njs reads where the first one is torn and this daemon is not there to write it anew.
 */
export class ClusterFile {
  private readonly files: readonly [string, string];

  constructor(private readonly directory: string) {
    const file = join(directory, 'cluster.json');
    this.files = [file, `${file}.last`];
  }

  /** Replaces what is not so on the disk, whether anything changed or the file is not what was written; called every second. */
  write(nodes: Record<string, ClusterFileNode>): void {
    const text = `${JSON.stringify({ version: VERSION, nodes })}\n`;
    // One at a time: what tears the first leaves the other as it was.
    const wrong = this.files.find((file) => readText(file) !== text);
    if (wrong === undefined) return;
    mkdirSync(this.directory, { recursive: true });
    writeFileSync(`${wrong}.new`, text, { mode: 0o644 });
    renameSync(`${wrong}.new`, wrong);
  }
}

/** What a file holds; undefined when it cannot be read. */
function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined; // it is written anew, and that says what is wrong
  }
}
