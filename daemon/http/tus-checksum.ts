import { createHash } from 'node:crypto';
import { Problem } from '../operations/problems.js';
import type { ByteSink } from './body.js';

/** Algorithms of `Upload-Checksum`. */
export const CHECKSUM_ALGORITHMS = ['sha1', 'sha256', 'md5'];

/** The checksum of a PATCH body that the client sent (tus, checksum extension). */
export class ExpectedChecksum {
  private readonly hash;

  private constructor(
    algorithm: string,
    private readonly wanted: Buffer,
  ) {
    this.hash = createHash(algorithm);
  }

  /** Reads `Upload-Checksum`; undefined if there is none. Throws a Problem (`bad-digest`) if it is malformed. */
  static of(header: string | string[] | undefined): ExpectedChecksum | undefined {
    if (header === undefined) return undefined;
    const [, algorithm = '', base64 = ''] = /^([a-z0-9]+) ([A-Za-z0-9+/]+={0,2})$/.exec(String(header)) ?? [];
    if (!CHECKSUM_ALGORITHMS.includes(algorithm)) {
      throw new Problem('bad-digest', `Upload-Checksum must be <${CHECKSUM_ALGORITHMS.join('|')}> <base64>.`);
    }
    return new ExpectedChecksum(algorithm, Buffer.from(base64, 'base64'));
  }

  /** Wraps a sink, so that the bytes are hashed before they are written to it. */
  before(sink: ByteSink): ByteSink {
    return {
      write: (chunk) => {
        this.hash.update(chunk);
        return sink.write(chunk);
      },
    };
  }

  /** Throws a Problem (`checksum-mismatch`) if the hashed bytes have another checksum. */
  check(): void {
    if (this.hash.digest().equals(this.wanted)) return;
    throw new Problem('checksum-mismatch', 'The piece is not what its Upload-Checksum says; send it again.');
  }
}
