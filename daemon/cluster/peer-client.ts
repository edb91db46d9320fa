import { createHash } from 'node:crypto';
import { Agent, type Dispatcher, request } from 'undici';
import type { PeerSettings } from '../config/settings.js';
import { sign } from './signature.js';

/** Where requests between nodes go. */
export const PEER_PREFIX = '/.fidfs/peer';

/** A peer that cannot be asked, or whose answer is an error or no sense; the message says which, for people. */
export class PeerError extends Error {
  override name = 'PeerError';

  constructor(
    message: string,
    /** The status of its answer; undefined when there was none. */
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
  /** How long the first byte of the answer may take, in milliseconds. */
  timeout?: number;
  /** The longest answer that is read, in bytes. */
  limit?: number;
  signal?: AbortSignal;
}

/** Makes signed requests to one peer, at the address that the settings name, and no other. */
export class PeerClient {
  /** Only what is under way keeps connections busy; several so that a long poll holds nothing up. */
  private readonly agent = new Agent({ connections: 16, connect: { timeout: 3000 }, keepAliveTimeout: 30_000 });

  constructor(
    readonly peer: PeerSettings,
    private readonly serverId: number,
    private readonly secret: string,
  ) {}

  /** The whole answer. Rejects with a PeerError. */
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

  /** As `ask`, for an answer in JSON. What is in it is for the caller to check. */
  async askJson(path: string, options: PeerRequest = {}): Promise<unknown> {
    const answer = await this.ask(path, options);
    try {
      return JSON.parse(answer.toString());
    } catch (error) {
      throw this.named('its answer is not JSON', undefined, error);
    }
  }

  /** A signed request whose answer is read as it comes. Rejects with what undici rejects with. */
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

  /** The Authorization header of a request. */
  authorization(method: string, target: string): string {
    return sign(this.secret, { method, path: target, sender: this.serverId, receiver: this.peer.id });
  }

  /** Any request to the peer's nginx. */
  raw(target: string, options: Omit<Dispatcher.RequestOptions, 'origin' | 'path'>): Promise<Dispatcher.ResponseData> {
    return request(this.peer.url + target, { dispatcher: this.agent, ...options });
  }

  /** Ends everything under way. */
  close(): Promise<void> {
    return this.agent.destroy();
  }

  private named(reason: string, status: number | undefined, cause?: unknown): PeerError {
    return new PeerError(`node ${this.peer.id} (${this.peer.url}): ${reason}`, status, { cause });
  }
}

/** What a problem document says, or the status. */
function reasonOf(status: number, body: Buffer): string {
  try {
    const { detail }: { detail?: unknown } = JSON.parse(body.toString());
    if (typeof detail === 'string') return `${status}: ${detail}`;
  } catch {
    // not from fidfs
  }
  return `answers ${status}`;
}
