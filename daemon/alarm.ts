import type { Logger } from 'pino';
import { request } from 'undici';

const FIRST_PAUSE_SECONDS = 60;
const LONGEST_PAUSE_SECONDS = 3600;
const POST_MILLISECONDS = 10_000;

/** What can be in danger. */
export type AlarmKind =
  | 'damage' // a file whose bytes are wrong, and no good copy to be had
  | 'set-aside' // a file that could not be fetched
  | 'too-few-copies' // fewer nodes than `copies` promises
  | 'index' // damage of the index
  | 'disk' // a store path that takes no files
  | 'rolled-back' // the log has lost entries that a peer has: the data is an older copy
  | 'peer'; // a peer whose settings do not go with this node's

interface Alarm {
  kind: AlarmKind;
  /** What it is about: a file, a store path, a peer. */
  subject: string;
  detail: string;
  since: Date;
  pause: number;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Whatever puts a promise in danger: said in the log, in the metrics, and to `alertUrl`, again and again with growing
 * pauses, until it is over.
 */
export class Alarms {
  private readonly active = new Map<string, Alarm>();

  constructor(
    private readonly log: Logger,
    private readonly alertUrl: string | undefined,
    /** Who says so, in what is posted. */
    private readonly node: { serverId: number; group: string },
  ) {}

  /** Something is in danger. Said at once when it is new; known already, it only gets its new detail. */
  raise(kind: AlarmKind, subject: string, detail: string): void {
    const name = `${kind} ${subject}`;
    const known = this.active.get(name);
    if (known) {
      known.detail = detail;
      return;
    }
    const alarm = { kind, subject, detail, since: new Date(), pause: FIRST_PAUSE_SECONDS, timer: undefined };
    this.active.set(name, alarm);
    this.say(alarm);
  }

  /** It is over. */
  clear(kind: AlarmKind, subject: string): void {
    const alarm = this.active.get(`${kind} ${subject}`);
    if (!alarm) return;
    clearTimeout(alarm.timer);
    this.active.delete(`${kind} ${subject}`);
    this.log.info({ alarm: kind, subject }, 'an alarm is over');
    this.post(alarm, 'over');
  }

  /** What the alarms of a kind are about. */
  subjects(kind: AlarmKind): string[] {
    return [...this.active.values()].filter((alarm) => alarm.kind === kind).map(({ subject }) => subject);
  }

  /** What is in danger now, for people. */
  get texts(): string[] {
    return [...this.active.values()].map(({ kind, subject, detail }) => `${kind}: ${subject}: ${detail}`);
  }

  /** How many of each kind. */
  get counts(): Map<AlarmKind, number> {
    const counts = new Map<AlarmKind, number>();
    for (const { kind } of this.active.values()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    return counts;
  }

  stop(): void {
    for (const { timer } of this.active.values()) clearTimeout(timer);
  }

  private say(alarm: Alarm): void {
    const { kind, subject, detail, since } = alarm;
    this.log.error({ alarm: kind, subject, since: since.toISOString() }, detail);
    this.post(alarm, 'active');
    alarm.timer = setTimeout(() => this.say(alarm), alarm.pause * 1000).unref();
    alarm.pause = Math.min(LONGEST_PAUSE_SECONDS, alarm.pause * 2);
  }

  private post({ kind, subject, detail, since }: Alarm, state: 'active' | 'over'): void {
    if (this.alertUrl === undefined) return;
    const { serverId, group } = this.node;
    const body = JSON.stringify({ state, alarm: kind, subject, detail, since: since.toISOString(), serverId, group });
    const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body } as const;
    request(this.alertUrl, { ...options, headersTimeout: POST_MILLISECONDS, bodyTimeout: POST_MILLISECONDS })
      .then((answer) => answer.body.dump())
      .catch((error: unknown) => this.log.warn({ err: error }, 'alertUrl could not be told; it is told again later'));
  }
}
