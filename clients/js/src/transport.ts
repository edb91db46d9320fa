import { errorOf, FidfsError, networkError } from './error.js';
import { Servers } from './servers.js';
import type { Body } from './source.js';
import type { FidfsOptions } from './types.js';

/** A whole upload. */
export interface Sending {
  headers: Record<string, string>;
  body: Body;
  signal: AbortSignal | undefined;
  onProgress: ((sent: number) => void) | undefined;
  fetch: typeof globalThis.fetch;
}

/** The response to a whole upload. */
export interface Sent {
  status: number;
  body: string;
  header: (name: string) => string | null;
}

/** A `RequestInit` whose headers are an object, and whose limit in milliseconds may differ from that of the client; 0 for none. */
export type Init = Omit<RequestInit, 'headers' | 'signal'> & {
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  timeout?: number;
};

const TIMEOUT_MILLISECONDS = 60_000;
const RETRIES = 3;

/** Sends requests with the key, to a server that can be used. */
export class Transport {
  readonly servers: Servers;
  readonly fetch: typeof globalThis.fetch;

  constructor(private readonly options: FidfsOptions) {
    this.servers = new Servers(options.servers, options.retries ?? RETRIES);
    this.fetch = options.fetch ?? ((...words) => globalThis.fetch(...words));
  }

  /** Resolves with the key, if there is one. */
  async key(): Promise<string | undefined> {
    const { key } = this.options;
    return typeof key === 'function' ? await key() : key;
  }

  /** Resolves with the headers of a request. */
  async authorization(): Promise<Record<string, string>> {
    const key = await this.key();
    return key === undefined ? {} : { Authorization: `Bearer ${key}` };
  }

  /** Sends a request until a server answers, and reads the response. Rejects with a FidfsError unless it is 2xx. */
  async request<T>(path: string, init: Init, read: (answer: Response) => Promise<T>): Promise<T> {
    const { signal, body } = init;
    const isStream = typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
    const isRepeatable = () => !isStream && !(body instanceof ReadableStream);
    return await this.servers.attempt((server) => this.once(server + path, init, read), { signal, isRepeatable });
  }

  private async once<T>(url: string, init: Init, read: (answer: Response) => Promise<T>): Promise<T> {
    const { headers, signal, timeout = this.options.timeout ?? TIMEOUT_MILLISECONDS, ...rest } = init;
    const signals = [...(signal ? [signal] : []), ...(timeout > 0 ? [AbortSignal.timeout(timeout)] : [])];
    const all = { ...(await this.authorization()), ...headers };
    try {
      const answer = await this.fetch(url, { ...rest, headers: all, signal: eitherOf(signals) });
      if (answer.ok) return await read(answer);
      throw errorOf(answer.status, await answer.text(), answer.headers.get('Retry-After'));
    } catch (error) {
      if (error instanceof FidfsError) throw error;
      // Not JSON: something between is not fidfs.
      if (error instanceof SyntaxError) throw new FidfsError('unknown', 0, error.message);
      throw networkError(error);
    }
  }

  /** As `request`, with JSON as the response. */
  async json<T>(path: string, init: Init = {}): Promise<T> {
    return await this.request(path, init, async (answer) => (await answer.json()) as T);
  }

  /** As `json`, with JSON as the body of a POST. */
  async ask<T>(path: string, body: unknown, signal: AbortSignal | undefined): Promise<T> {
    const headers = { 'Content-Type': 'application/json' };
    return await this.json<T>(path, { method: 'POST', body: JSON.stringify(body), headers, signal });
  }
}

/** Not by `any` for one, because browsers have that since 2023 and 2024. */
function eitherOf(signals: AbortSignal[]): AbortSignal | null {
  return signals.length > 1 ? AbortSignal.any(signals) : (signals[0] ?? null);
}

/** Returns a query with the parameters that are defined, beginning with a question mark; empty without any. */
export function queryOf(parameters: Record<string, string | number | undefined>): string {
  const parts = Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
  );
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}
