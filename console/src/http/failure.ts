/** Why a request failed: a problem document (RFC 9457), or no answer at all. */
export class Failure extends Error {
  override name = 'Failure';

  constructor(
    /** The name in the server's catalogue of problems, or one of ours: network, unreadable, unknown. */
    readonly problem: string,
    /** 0 when there was no answer. */
    readonly status: number,
    /** The server's own words; may be empty. */
    readonly detail: string,
    readonly retryAfterSeconds = 0,
  ) {
    super(detail);
  }
}

const PREFIX = 'urn:fidfs:problem:';

/** The failure that an answer's body and status tell. */
export function failureOf(status: number, body: string, retryAfter: string | null | undefined): Failure {
  const seconds = Number(retryAfter ?? 0) || 0;
  try {
    const document: { type?: unknown; detail?: unknown } = JSON.parse(body);
    const type = typeof document.type === 'string' ? document.type : '';
    const detail = typeof document.detail === 'string' ? document.detail : '';
    if (type.startsWith(PREFIX)) return new Failure(type.slice(PREFIX.length), status, detail, seconds);
  } catch {
    // not from fidfs, such as a proxy's page, or the answer to a HEAD
  }
  return new Failure(nameByStatus(status), status, '', seconds);
}

function nameByStatus(status: number): string {
  const names: Record<number, string> = { 401: 'no-key', 404: 'not-found', 413: 'too-large', 507: 'full' };
  return names[status] ?? (status >= 500 ? 'unavailable' : 'unknown');
}

/** No answer came. */
export function networkFailure(): Failure {
  return new Failure('network', 0, '');
}

/** Anything thrown, as a failure. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  // What Blob.slice().arrayBuffer() throws for a file that was changed or removed.
  if (error instanceof DOMException) return new Failure('unreadable', 0, error.message);
  return new Failure('unknown', 0, error instanceof Error ? error.message : String(error));
}
