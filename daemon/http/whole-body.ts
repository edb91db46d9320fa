import type { IncomingHttpHeaders } from 'node:http';
import { Problem } from '../operations/problems.js';

/** Whether a coding is none; undefined and empty are none. */
export function isIdentity(coding: string | undefined): boolean {
  return coding === undefined || /^\s*(?:identity)?\s*$/i.test(coding);
}

/** Throws a Problem for a body that is encoded: it would be stored, and served, as what it is not. */
export function assertNotEncoded(headers: IncomingHttpHeaders): void {
  const coding = headers['content-encoding'];
  if (isIdentity(coding)) return;
  throw new Problem(
    'unsupported-encoding',
    'Files are stored as they come: send the bytes themselves, without Content-Encoding (identity). A file that is compressed, such as a .gz, needs none.',
  );
}

/** Throws a Problem for a body that is one piece of a file: each would become a file of its own. */
export function assertNotPiece(headers: IncomingHttpHeaders): void {
  if (headers['content-range'] === undefined) return;
  throw new Problem(
    'bad-request',
    'Content-Range: each request to /upload is a whole file. To send a file in pieces, use tus (https://tus.io) at /tus/, with any of its clients.',
  );
}
