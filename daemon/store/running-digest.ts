import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** Size, CRC32 and SHA-256 of a stream of bytes. */
export class RunningDigest {
  size = 0;
  crc32 = 0;

  constructor(private readonly sha256: Hash = createHash('sha256')) {}

  update(chunk: Uint8Array): void {
    this.size += chunk.length;
    this.crc32 = crc32(chunk, this.crc32);
    this.sha256.update(chunk);
  }

  /** An independent copy of the current state. */
  copy(): RunningDigest {
    const copy = new RunningDigest(this.sha256.copy());
    copy.size = this.size;
    copy.crc32 = this.crc32;
    return copy;
  }

  /** Returns the digest. `update` must not be called any more. */
  finish(): { size: number; crc32: number; sha256: Buffer } {
    return { size: this.size, crc32: this.crc32, sha256: this.sha256.digest() };
  }
}
