import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { differenceFromName, readContent } from './inspect.js';
import { filePath } from './layout.js';
import type { FileLocation, Records } from './records.js';
import type { StorePath } from './store-path.js';

/** Contents of which it is remembered where they were written last. */
const REMEMBERED = 1000;

/** What is to be stored: its bytes, or all that is known of them, and where, if that matters. */
interface Sought {
  sha256: Buffer;
  size: number;
  content?: readonly Uint8Array[] | undefined;
  storePath?: number;
}

/**
 * Finds files of this node that have the same bytes, so that a content is stored once on a store path whatever the number
 * of its IDs. What the records say is checked against the file itself: a link to a rotten one would be a lost upload.
 */
export class Duplicates {
  /**
   * Where a content was written last, by SHA-256: what is in the batch under way the records do not know yet, and where one
   * inode has all the names that it may have, this is the next one.
   */
  private readonly written = new Map<string, FileLocation>();

  constructor(
    private readonly paths: readonly StorePath[],
    private readonly records: Pick<Records, 'findByContent'>,
  ) {}

  /** A content has a file of its own now. */
  wrote(sha256: Buffer, { storePath, directory, name }: FileLocation): void {
    const key = sha256.toString('latin1');
    this.written.delete(key);
    this.written.set(key, { storePath, directory, name });
    if (this.written.size <= REMEMBERED) return;
    for (const oldest of this.written.keys()) {
      this.written.delete(oldest);
      break;
    }
  }

  /** The file that `wrote` told of last. */
  last(sha256: Buffer): FileLocation | undefined {
    return this.written.get(sha256.toString('latin1'));
  }

  /** Files with these bytes, each read and found right. Reads in the caller's turn: for small ones. */
  *small(sought: Sought): Generator<FileLocation> {
    for (const location of this.candidates(sought)) {
      if (this.hasBytes(location, sought)) yield location;
    }
  }

  /** A file with this content, read and found right; undefined when there is none. */
  async large(sought: Pick<Sought, 'sha256' | 'storePath'>): Promise<FileLocation | undefined> {
    for (const location of this.candidates(sought)) {
      const content = await readContent(this.pathOf(location)).catch(() => undefined); // as in hasBytes
      // Its record says what it was; size and CRC32 show whether it still is, in half the time of a SHA-256.
      if (content && differenceFromName(location.name, content) === undefined) return location;
    }
    return undefined;
  }

  private candidates({ sha256, storePath: wanted }: Pick<Sought, 'sha256' | 'storePath'>): FileLocation[] {
    const last = this.last(sha256);
    const recorded = this.records.findByContent(sha256);
    return [...(last ? [last] : []), ...recorded].filter(({ storePath }) => {
      const path = this.paths[storePath];
      return path?.isOpen === true && path.unavailable === undefined && (wanted ?? storePath) === storePath;
    });
  }

  private hasBytes(location: FileLocation, { sha256, size, content }: Sought): boolean {
    let found: Buffer;
    try {
      found = readFileSync(this.pathOf(location));
    } catch {
      return false; // gone meanwhile, or unreadable: the scrub's business
    }
    if (found.length !== size) return false;
    if (!content) return hash('sha256', found, 'buffer').equals(sha256);
    let offset = 0;
    return content.every((piece) => {
      const end = offset + piece.length;
      const isEqual = Buffer.compare(found.subarray(offset, end), piece) === 0;
      offset = end;
      return isEqual;
    });
  }

  private pathOf({ storePath, directory, name }: FileLocation): string {
    return filePath((this.paths[storePath] as StorePath).root, directory, name);
  }
}
