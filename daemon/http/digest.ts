import type { IncomingHttpHeaders } from 'node:http';
import fileId from '../../file-id/file-id.js';
import { Problem } from '../operations/problems.js';

/** The digests that the client sent of the body. */
export interface ExpectedContent {
  crc32?: string;
  sha256?: Buffer[];
}

/** The sha-256 of a `Repr-Digest` or `Content-Digest` field (RFC 9530); undefined if it has none. Ignores other algorithms. */
function parseDigest(name: string, field: string): Buffer | undefined {
  const digests = field.split(',').map((member) => member.trim());
  const sha256 = digests.find((member) => /^sha-256=/.test(member));
  if (sha256 === undefined) return undefined;
  const base64 = /^sha-256=:([A-Za-z0-9+/]{43}=):$/.exec(sha256)?.[1];
  if (base64 === undefined) throw new Problem('bad-digest', `${name} must be sha-256=:<base64 of 32 bytes>:.`);
  return Buffer.from(base64, 'base64');
}

/** Reads the digests of a request; `crc32` is the query parameter. Throws a Problem (`bad-digest`) if one is malformed. */
export function expectedContent(headers: IncomingHttpHeaders, crc32: string | undefined): ExpectedContent {
  const expected: ExpectedContent = {};
  if (crc32 !== undefined) {
    if (!/^[0-9A-Fa-f]{8}$/.test(crc32)) throw new Problem('bad-digest', 'crc32 must be 8 hex digits.');
    expected.crc32 = crc32.toLowerCase();
  }
  for (const name of ['Repr-Digest', 'Content-Digest']) {
    const field = headers[name.toLowerCase()];
    if (field === undefined) continue;
    const digest = parseDigest(name, String(field));
    if (digest) expected.sha256 = [...(expected.sha256 ?? []), digest];
  }
  return expected;
}

/** Throws a Problem (`digest-mismatch`) if the content differs from an expected digest. */
export function checkContent(expected: ExpectedContent, content: { crc32: number; sha256: Buffer }): void {
  const crc32 = fileId.hex32(content.crc32);
  if (expected.crc32 !== undefined && expected.crc32 !== crc32) {
    throw new Problem('digest-mismatch', `The body's CRC32 is ${crc32}, not ${expected.crc32}; send it again.`);
  }
  for (const digest of expected.sha256 ?? []) {
    if (!digest.equals(content.sha256)) {
      const found = content.sha256.toString('base64');
      throw new Problem('digest-mismatch', `The body's SHA-256 is :${found}:, not the one announced; send it again.`);
    }
  }
}
