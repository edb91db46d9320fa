import { createHmac } from 'node:crypto';
import { request } from 'undici';
import type { Identified } from './event.js';
import type { Sink } from './publisher.js';

/** How long a receiver may take to answer, in milliseconds. */
const ANSWER_MILLISECONDS = 15_000;
/** Bytes of an answer that are read at most. */
const ANSWER_BYTES = 64 * 1024;
const SECRET_PREFIX = 'whsec_';

/** The bytes of a secret: what follows `whsec_` is base64, as in Standard Webhooks; any other one is taken as it is. */
function bytesOf(secret: string): Buffer {
  return secret.startsWith(SECRET_PREFIX)
    ? Buffer.from(secret.slice(SECRET_PREFIX.length), 'base64')
    : Buffer.from(secret);
}

/** The headers of Standard Webhooks: the HMAC-SHA256 of id, timestamp (seconds since 1970) and body, with dots between them. */
function signedHeaders(secret: string, id: string, body: string): Record<string, string> {
  const timestamp = String(Math.floor(Date.now() / 1000));
  const signature = createHmac('sha256', bytesOf(secret)).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}

/** Sends each page of events as one POST of a JSON array, signed. Redirects are not followed. */
export class WebhookSink implements Sink {
  readonly pageLength = 100;
  readonly longestPause = 60_000;
  private readonly ending = new AbortController();

  constructor(
    private readonly url: string,
    private readonly secret: string,
  ) {}

  /** Without user, password and query, which may be secrets. */
  get target(): string {
    const { origin, pathname } = new URL(this.url);
    return origin + pathname;
  }

  start(): void {}

  async stop(): Promise<void> {
    this.ending.abort();
  }

  onRecovered(): void {}

  async send(page: readonly Identified[]): Promise<{ arrived: number; failure?: string }> {
    const body = JSON.stringify(page.map(({ event }) => event));
    const id = page[0] === undefined ? '' : `${page[0].uniqueId}-${page.at(-1)?.event.number}`;
    const headers = { 'content-type': 'application/json', ...signedHeaders(this.secret, id, body) };
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), ANSWER_MILLISECONDS);
    const stop = () => limit.abort();
    this.ending.signal.addEventListener('abort', stop);
    try {
      const answer = await request(this.url, { method: 'POST', headers, body, signal: limit.signal });
      // The status is the answer, whatever becomes of its body.
      await answer.body.dump({ limit: ANSWER_BYTES, signal: limit.signal }).catch(() => {});
      if (answer.statusCode >= 200 && answer.statusCode < 300) return { arrived: page.length };
      return { arrived: 0, failure: `it answers ${answer.statusCode}` };
    } catch (error) {
      const isLate = limit.signal.aborted;
      return { arrived: 0, failure: isLate ? 'it does not answer in time' : (error as Error).message };
    } finally {
      clearTimeout(timer);
      this.ending.signal.removeEventListener('abort', stop);
    }
  }
}
