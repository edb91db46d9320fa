/** A failed request: an error response, mostly with a problem document (RFC 9457), or no response. */
export class Failure extends Error {
  override name = 'Failure';

  constructor(
    /** A name from the server's catalogue of problems, or network, unreadable or unknown. */
    readonly problem: string,
    /** The HTTP status; 0 without a response. */
    readonly status: number,
    /** The `detail` of the problem document; may be empty. */
    readonly detail: string,
    readonly retryAfterSeconds = 0,
  ) {
    super(detail);
  }
}

const PREFIX = 'urn:fidfs:problem:';

/** Parses an error response. */
export function failureOf(status: number, body: string, retryAfter: string | null | undefined): Failure {
  const seconds = Number(retryAfter ?? 0) || 0;
  try {
    const document: { type?: unknown; detail?: unknown } = JSON.parse(body);
    const type = typeof document.type === 'string' ? document.type : '';
    const detail = typeof document.detail === 'string' ? document.detail : '';
    if (type.startsWith(PREFIX)) return new Failure(type.slice(PREFIX.length), status, detail, seconds);
  } catch {
    // not a problem document: an error page of a proxy, or the response to a HEAD
  }
  return new Failure(nameByStatus(status), status, '', seconds);
}

function nameByStatus(status: number): string {
  const names: Record<number, string> = { 401: 'no-key', 404: 'not-found', 413: 'too-large', 507: 'full' };
  return names[status] ?? (status >= 500 ? 'unavailable' : 'unknown');
}

/** The failure of a request without a response. */
export function networkFailure(): Failure {
  return new Failure('network', 0, '');
}

/** Converts anything thrown into a Failure. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  // Blob.slice().arrayBuffer() throws a DOMException if the file was changed or removed.
  if (error instanceof DOMException) return new Failure('unreadable', 0, error.message);
  return new Failure('unknown', 0, error instanceof Error ? error.message : String(error));
}
