import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A peer as njs sees it. */
export interface ClusterFileNode {
  group: string;
  /** Scheme, address and port: njs has no resolver. */
  origin: string;
  /** Host and port as the settings name them, for the Host header and the name in a certificate. */
  host: string;
  up: boolean;
}

/** `<data>/nginx/cluster.json`: where peers are and which of them are alive, for njs to read on a miss. */
export class ClusterFile {
  private written = '';

  constructor(private readonly directory: string) {}

  /** Replaces the file when anything changed. */
  write(nodes: Record<string, ClusterFileNode>): void {
    const text = `${JSON.stringify({ nodes })}\n`;
    if (text === this.written) return;
    mkdirSync(this.directory, { recursive: true });
    const file = join(this.directory, 'cluster.json');
    writeFileSync(`${file}.new`, text, { mode: 0o644 });
    renameSync(`${file}.new`, file);
    this.written = text;
  }
}
