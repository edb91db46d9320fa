import { createHash } from 'node:crypto';
import { Agent, type Dispatcher, request } from 'undici';
import type { PeerSettings } from '../config/settings.js';
import { sign } from './signature.js';

/** Path prefix of requests between nodes. */
export const PEER_PREFIX = '/.fidfs/peer';

/** A request to a peer failed, or the response is an error or malformed. The message is human-readable and names the peer. */
export class PeerError extends Error {
  override name = 'PeerError';

  constructor(
    message: string,
    /** Status of the response; undefined if there was none. */
    readonly status: number | undefined,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export interface PeerRequest {
  method?: 'GET' | 'POST' | 'DELETE';
  query?: Record<string, string>;
  body?: Buffer;
  /** Timeout for the headers of the response, and between parts of its body, in milliseconds. */
  timeout?: number;
  /** Maximum length of the response, in bytes. */
  limit?: number;
  signal?: AbortSignal;
}

/** Sends signed requests to one peer, only to the URL in the settings. */
export class PeerClient {
  /** Several connections, so that a long poll does not block other requests. */
  private readonly agent = new Agent({ connections: 16, connect: { timeout: 3000 }, keepAliveTimeout: 30_000 });

  constructor(
    readonly peer: PeerSettings,
    private readonly serverId: number,
    private readonly secret: string,
  ) {}

  /** Sends a signed request and resolves with the body of the response. Rejects with a PeerError, also for a status from 300. */
  async ask(path: string, { limit = 32 * 2 ** 20, timeout = 10_000, ...options }: PeerRequest = {}): Promise<Buffer> {
    const { query = {}, body } = options;
    const digest: Record<string, string> = body
      ? { digest: createHash('sha256').update(body).digest('base64url') }
      : {};
    const parameters = new URLSearchParams({ ...query, ...digest }).toString();
    const target = `${PEER_PREFIX}${path}${parameters === '' ? '' : `?${parameters}`}`;
    try {
      const answer = await this.send(target, { ...options, timeout });
      const chunks: Buffer[] = [];
      let length = 0;
      for await (const chunk of answer.body as AsyncIterable<Buffer>) {
        length += chunk.length;
        if (length > limit) throw new PeerError('its answer is longer than it should be', answer.statusCode);
        chunks.push(chunk);
      }
      const whole = Buffer.concat(chunks);
      if (answer.statusCode >= 300) throw new PeerError(reasonOf(answer.statusCode, whole), answer.statusCode);
      return whole;
    } catch (error) {
      if (error instanceof PeerError) throw this.named(error.message, error.status);
      throw this.named((error as Error).message, undefined, error);
    }
  }

  /** Like `ask`, for a response in JSON. The caller must validate it. */
  async askJson(path: string, options: PeerRequest = {}): Promise<unknown> {
    const answer = await this.ask(path, options);
    try {
      return JSON.parse(answer.toString());
    } catch (error) {
      throw this.named('its answer is not JSON', undefined, error);
    }
  }

  /** Sends a signed request and resolves with the response, whose body is a stream. Rejects with the error of undici. */
  send(
    target: string,
    { method = 'GET', body, timeout = 10_000, signal }: Omit<PeerRequest, 'limit'> = {},
  ): Promise<Dispatcher.ResponseData> {
    return this.raw(target, {
      method,
      headers: { authorization: this.authorization(method, target) },
      body: body ?? null,
      headersTimeout: timeout,
      bodyTimeout: timeout,
      ...(signal ? { signal } : {}),
    });
  }

  /** The Authorization header of a request. `target`: path with query. */
  authorization(method: string, target: string): string {
    return sign(this.secret, { method, path: target, sender: this.serverId, receiver: this.peer.id });
  }

  /** Sends an unsigned request to the peer's nginx. Rejects with the error of undici. */
  raw(target: string, options: Omit<Dispatcher.RequestOptions, 'origin' | 'path'>): Promise<Dispatcher.ResponseData> {
    return request(this.peer.url + target, { dispatcher: this.agent, ...options });
  }

  /** Takes no more requests. Resolves when those under way have ended and the connections are closed. */
  end(): Promise<void> {
    return this.agent.close();
  }

  /** Aborts all requests and closes the connections. */
  close(): Promise<void> {
    return this.agent.destroy();
  }

  private named(reason: string, status: number | undefined, cause?: unknown): PeerError {
    return new PeerError(`node ${this.peer.id} (${this.peer.url}): ${reason}`, status, { cause });
  }
}

/** The detail of a problem document (RFC 9457), or the status. */
function reasonOf(status: number, body: Buffer): string {
  try {
    const { detail }: { detail?: unknown } = JSON.parse(body.toString());
    if (typeof detail === 'string') return `${status}: ${detail}`;
  } catch {
    // not a problem document
  }
  return `answers ${status}`;
}
