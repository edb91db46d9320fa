import { isIP } from 'node:net';
import { request } from 'undici';
import { formatAddress, type Settings } from './config/settings.js';

/** Where our own nginx says how many requests it has answered. */
export const REQUEST_COUNT_PATH = '/.fidfs/requests';
const LOOK_MILLISECONDS = 1000;

/** Counts what nginx answers without the daemon: downloads, nearly all. */
export class Requests {
  /** Since the daemon began; undefined where nginx does not say, as somebody's own. */
  downloads: number | undefined;
  private passedOn = 0;
  private before: { answered: number; passedOn: number } | undefined;
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
    const { before, passedOn } = this;
    if (answered === undefined) return;
    this.before = { answered, passedOn };
    this.downloads ??= 0;
    // The look itself is one. After a restart nginx counts from the beginning.
    if (before) this.downloads += Math.max(0, answered - before.answered - (passedOn - before.passedOn) - 1);
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
