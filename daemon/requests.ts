import { isIP } from 'node:net';
import { request } from 'undici';
import { formatAddress, type Settings } from './config/settings.js';

/** Where our own nginx says how many requests it has answered. */
export const REQUEST_COUNT_PATH = '/.fidfs/requests';
const LOOK_MILLISECONDS = 1000;

/** Counts what nginx answers without the daemon: downloads, nearly all. */
export class Requests {
  /**
   * Since the daemon began; undefined where nginx does not say, as somebody's own. Good to the number of requests
   * that nginx had begun to pass on at a look and the daemon had not seen yet.
   */
  downloads: number | undefined;
  private passedOn = 0;
  /** What had been counted when nginx, or this daemon, began. */
  private zero = { answered: 0, passedOn: 0, downloads: 0 };
  private answered = Number.POSITIVE_INFINITY;
  private readonly url: string;
  private readonly timer: NodeJS.Timeout;

  constructor({ listen }: Pick<Settings, 'listen'>) {
    const isWildcard = listen.host === '0.0.0.0' || listen.host === '::';
    const loopback = isIP(listen.host) === 6 ? '::1' : '127.0.0.1';
    this.url = `http://${formatAddress(isWildcard ? { ...listen, host: loopback } : listen)}${REQUEST_COUNT_PATH}`;
    this.timer = setInterval(() => void this.look(), LOOK_MILLISECONDS).unref();
  }

  /** The daemon was asked something. */
  passed(): void {
    this.passedOn++;
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private async look(): Promise<void> {
    const answered = await this.askNginx();
    if (answered === undefined) return;
    // The look itself is one that did not come to the daemon either.
    this.passedOn++;
    const { passedOn, downloads = 0 } = this;
    // After a restart nginx counts from the beginning.
    if (answered < this.answered) this.zero = { answered, passedOn, downloads };
    this.answered = answered;
    const counted = this.zero.downloads + answered - this.zero.answered - (passedOn - this.zero.passedOn);
    this.downloads = Math.max(0, counted);
  }

  private async askNginx(): Promise<number | undefined> {
    try {
      const { statusCode, body } = await request(this.url, { headersTimeout: LOOK_MILLISECONDS });
      const text = await body.text();
      const [, requests] = /^ *\d+ +\d+ +(\d+) *$/m.exec(text) ?? [];
      return statusCode === 200 && requests !== undefined ? Number(requests) : undefined;
    } catch {
      return undefined; // nginx is restarting, or is somebody's own
    }
  }
}
