const PREFIX = 'urn:fidfs:problem:';

/** A request that failed: an error response, mostly with a problem document (RFC 9457), or no response. */
export class FidfsError extends Error {
  override readonly name = 'FidfsError';

  constructor(
    /**
     * A name from the server's catalogue of problems (docs/problems.md), `network` without a response, `unreadable` if the
     * data could not be read, or `unknown`.
     */
    readonly problem: string,
    /** The HTTP status; 0 without a response. */
    readonly status: number,
    /** What the server says about this request; may be empty. */
    readonly detail: string,
    /** Seconds after which the request may be repeated; 0 if the server does not say. */
    readonly retryAfter = 0,
    options: ErrorOptions = {},
  ) {
    super([problem, detail || messageOf(options.cause)].filter(Boolean).join(': '), options);
  }
}

/** Parses an error response. `retryAfter` is the value of that header. */
export function errorOf(status: number, body: string, retryAfter: string | null | undefined): FidfsError {
  const seconds = Number(retryAfter ?? 0) || 0;
  try {
    const { type, detail }: { type?: unknown; detail?: unknown } = JSON.parse(body);
    if (typeof type === 'string' && type.startsWith(PREFIX)) {
      return new FidfsError(type.slice(PREFIX.length), status, typeof detail === 'string' ? detail : '', seconds);
    }
  } catch {
    // not a problem document: an error page of a proxy, or the response to a HEAD
  }
  return new FidfsError(problemOf(status), status, '', seconds);
}

function problemOf(status: number): string {
  const problems: Record<number, string> = { 401: 'no-key', 404: 'not-found', 413: 'too-large', 507: 'full' };
  return problems[status] ?? (status >= 500 ? 'unavailable' : 'unknown');
}

/** The error of a request without a response. */
export function networkError(cause?: unknown): FidfsError {
  return new FidfsError('network', 0, '', 0, { cause });
}

/** The error of data that cannot be read, such as a file that was changed or removed. */
export function unreadable(cause: unknown): FidfsError {
  return new FidfsError('unreadable', 0, messageOf(cause), 0, { cause });
}

/** Converts anything thrown into a FidfsError. */
export function asFidfsError(error: unknown): FidfsError {
  if (error instanceof FidfsError) return error;
  // Blob.slice().arrayBuffer() throws a DOMException if the file was changed or removed.
  if (error instanceof DOMException) return unreadable(error);
  return new FidfsError('unknown', 0, messageOf(error), 0, { cause: error });
}

/** The message of an error; that of its cause, where it has one, because `fetch` names the reason there only. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return error === undefined ? '' : String(error);
  return error.cause instanceof Error ? messageOf(error.cause) : error.message;
}
