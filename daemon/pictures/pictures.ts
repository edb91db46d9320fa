import { createRequire } from 'node:module';
import type { Settings } from '../config/settings.js';
import type { Made, Order } from './order.js';
import { NoPicture, PictureProcesses } from './processes.js';

/** After a process has died at the same picture this many times, the original is refused. */
const DEATHS = 2;
/** Number of such pictures that are remembered. */
const REMEMBERED = 1000;
/** How long no process is started after one could not load sharp. */
const MISSING_MILLISECONDS = 60_000;

/** Makes pictures of files, by the optional package sharp. */
export class Pictures {
  private readonly processes: PictureProcesses;
  private readonly deaths = new Map<string, number>();
  private reason = whyNotInstalled();
  private askAgainAt = 0;

  /** @param warn logs a message: why no pictures are made, once */
  constructor(
    { pictureProcesses, picturePixels }: Pick<Settings, 'pictureProcesses' | 'picturePixels'>,
    private readonly warn: (message: string) => void,
  ) {
    this.processes = new PictureProcesses(pictureProcesses, picturePixels);
    if (this.reason !== undefined) this.sayMissing();
  }

  /** Why no pictures are made; undefined if they are, as far as is known. */
  get missing(): string | undefined {
    return this.reason;
  }

  /**
   * Makes a picture. Rejects with NoPicture. A process that dies costs one answer; if one dies again at the same picture, the
   * reason is probably the original, which is `refused` then.
   * @param key what identifies the picture
   */
  async make(key: string, order: Omit<Order, 'pixels'>): Promise<Made> {
    if (this.reason !== undefined && performance.now() < this.askAgainAt) throw new NoPicture('missing', this.reason);
    try {
      const made = await this.processes.run(order);
      this.deaths.delete(key);
      this.reason = undefined;
      return made;
    } catch (error) {
      if (!(error instanceof NoPicture)) throw error;
      if (error.fault === 'missing') this.isMissing(error.message);
      if (error.fault === 'died' && this.countDeath(key) >= DEATHS) throw new NoPicture('refused', error.message);
      throw error;
    }
  }

  stop(): Promise<void> {
    return this.processes.stop();
  }

  private isMissing(reason: string): void {
    const isNew = this.reason === undefined;
    this.reason = whyNotInstalled() ?? reason;
    this.askAgainAt = performance.now() + MISSING_MILLISECONDS;
    if (isNew) this.sayMissing();
  }

  private sayMissing(): void {
    this.warn(`no pictures are made, /picture/ answers 501: ${this.reason}`);
  }

  /** The number of deaths at this picture so far. */
  private countDeath(key: string): number {
    const deaths = (this.deaths.get(key) ?? 0) + 1;
    this.deaths.delete(key);
    this.deaths.set(key, deaths);
    const [oldest] = this.deaths.keys();
    if (this.deaths.size > REMEMBERED && oldest !== undefined) this.deaths.delete(oldest);
    return deaths;
  }
}

/** Why sharp is not there; undefined if it is installed. Whether it can be loaded is known only by a process that has tried. */
function whyNotInstalled(): string | undefined {
  try {
    createRequire(import.meta.url).resolve('sharp');
    return undefined;
  } catch {
    return 'the package sharp is not installed';
  }
}
