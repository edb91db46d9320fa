import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { toLocation } from './change.js';
import { differenceFromName, readContent } from './inspect.js';
import { filePath } from './layout.js';
import { decodeName } from './names.js';
import type { FileLocation, Records } from './records.js';
import type { StorePath } from './store-path.js';

/** Size of the cache of recently written contents. */
const REMEMBERED = 1000;

/** The content to be stored, with its bytes if they are in memory; `storePath` limits the search to one store path. */
interface Sought {
  sha256: Buffer;
  size: number;
  content?: readonly Uint8Array[] | undefined;
  storePath?: number;
}

/** A file whose content was read and found intact. */
export interface CheckedFile extends FileLocation {
  size: number;
  crc32: number;
}

/**
 * Finds files of this node with the same bytes (duplicates), so that a store path stores a content once, with a hard link for
 * each ID. Every file is read before it is used as a hard-link source: a link to a corrupt file would lose the upload.
 */
export class Duplicates {
  /**
   * Location where a content was written last, by SHA-256. Files of the current batch are not in the index yet, and if an inode
   * has reached the file system's limit of links, this is the new inode.
   */
  private readonly written = new Map<string, FileLocation>();

  constructor(
    private readonly paths: readonly StorePath[],
    private readonly records: Pick<Records, 'findByContent'>,
  ) {}

  /** Records that a content was written to a file of its own, not as a hard link. */
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

  /** The location last passed to `wrote` for this content. */
  last(sha256: Buffer): FileLocation | undefined {
    return this.written.get(sha256.toString('latin1'));
  }

  /** Yields files with these bytes, each read and compared. Reads synchronously: for small files only. */
  *small(sought: Sought): Generator<FileLocation> {
    for (const location of this.candidates(sought)) {
      if (this.hasBytes(location, sought)) yield location;
    }
  }

  /** A file with this content that was checked by reading it; undefined if there is none. Does not reject. */
  async large(sought: Pick<Sought, 'sha256' | 'storePath'>): Promise<CheckedFile | undefined> {
    for (const location of this.candidates(sought)) {
      // The SHA-256 was verified when the file was recorded; size and CRC32 detect later damage in half the time of a SHA-256.
      const isTold = decodeName(location.name).crc32 !== null;
      const content = await readContent(this.pathOf(location), { sha256: !isTold }).catch(() => undefined); // as in hasBytes
      if (!content || differenceFromName(location.name, content) !== undefined) continue;
      if (!isTold && !content.sha256?.equals(sought.sha256)) continue;
      return { ...toLocation(location), size: content.size, crc32: content.crc32 };
    }
    return undefined;
  }

  /** Whether a file of this store path probably has this content. Reads nothing of the files. */
  mayHave(sought: Pick<Sought, 'sha256' | 'storePath'>): boolean {
    return this.candidates(sought).length > 0;
  }

  private candidates({ sha256, storePath: wanted }: Pick<Sought, 'sha256' | 'storePath'>): FileLocation[] {
    const last = this.last(sha256);
    // A file that changes must not share its bytes.
    const recorded = this.records.findByContent(sha256).filter(({ version }) => !version);
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
      return false; // deleted in the meantime, or unreadable, which the scrub reports
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
