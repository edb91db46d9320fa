import { isIP } from 'node:net';
import { request } from 'undici';
import { REQUEST_COUNT_PATH } from '../nginx/configuration.js';
import { formatAddress, type Settings } from './config/settings.js';

const POLL_MILLISECONDS = 1000;

/** Counts the requests that nginx answers without the daemon, nearly all of which are downloads. */
export class Requests {
  /**
   * Requests since the daemon's start; undefined if nginx has no stub_status, because the user runs it. Requests that are
   * being forwarded while nginx is queried may be counted too early.
   */
  downloads: number | undefined;
  /** Requests since the daemon's start that it answered with a status from 500 on. */
  failures = 0;
  private passedOn = 0;
  /** The counts when nginx or the daemon was last started. */
  private baseline = { answered: 0, passedOn: 0, downloads: 0 };
  private answered = Number.POSITIVE_INFINITY;
  private readonly url: string;
  private readonly timer: NodeJS.Timeout;

  constructor({ listen }: Pick<Settings, 'listen'>) {
    const isWildcard = listen.host === '0.0.0.0' || listen.host === '::';
    const loopback = isIP(listen.host) === 6 ? '::1' : '127.0.0.1';
    this.url = `http://${formatAddress(isWildcard ? { ...listen, host: loopback } : listen)}${REQUEST_COUNT_PATH}`;
    this.timer = setInterval(() => void this.poll(), POLL_MILLISECONDS).unref();
  }

  /** Counts a request that reached the daemon. */
  passed(): void {
    this.passedOn++;
  }

  /** Counts an answer with a status from 500 on. */
  failed(): void {
    this.failures++;
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private async poll(): Promise<void> {
    const answered = await this.askNginx();
    if (answered === undefined) return;
    // The query itself is answered by nginx alone and must not count as a download.
    this.passedOn++;
    const { passedOn, downloads = 0 } = this;
    // nginx counts from zero after a restart.
    if (answered < this.answered) this.baseline = { answered, passedOn, downloads };
    this.answered = answered;
    const counted = this.baseline.downloads + answered - this.baseline.answered - (passedOn - this.baseline.passedOn);
    this.downloads = Math.max(0, counted);
  }

  private async askNginx(): Promise<number | undefined> {
    try {
      const { statusCode, body } = await request(this.url, { headersTimeout: POLL_MILLISECONDS });
      const text = await body.text();
      const [, requests] = /^ *\d+ +\d+ +(\d+) *$/m.exec(text) ?? [];
      return statusCode === 200 && requests !== undefined ? Number(requests) : undefined;
    } catch {
      return undefined; // nginx is restarting, or is run by the user
    }
  }
}
