import type { Logger } from 'pino';
import { request } from 'undici';
import type { Settings } from './config/settings.js';

const FIRST_PAUSE_SECONDS = 60;
const LONGEST_PAUSE_SECONDS = 3600;
const POST_MILLISECONDS = 10_000;

/** Kinds of alarms. */
export type AlarmKind =
  | 'damage' // a corrupt file without a good copy on any node
  | 'set-aside' // a file whose fetches failed repeatedly
  | 'too-few-copies' // fewer nodes than `copies` promises
  | 'index' // damage of the index
  | 'disk' // a store path that takes no files
  | 'rolled-back' // the replication log lacks entries that a peer has: the data is an older copy
  | 'events' // events that cannot be sent
  | 'keys' // the file of named keys is not valid
  | 'replication' // a peer that is up, whose log or files cannot be taken
  | 'peer'; // a peer whose settings contradict this node's

interface Alarm {
  kind: AlarmKind;
  /** The file, store path or peer concerned. */
  subject: string;
  detail: string;
  since: Date;
  pause: number;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Active alarms: conditions that endanger durability or availability. Each is logged, counted in the metrics and posted to
 * `alertUrl`, and repeated after 1 minute, then with doubling pauses up to an hour, until it is cleared.
 */
export class Alarms {
  private readonly active = new Map<string, Alarm>();

  constructor(
    private readonly log: Logger,
    /** `serverId` and `group` are in the posted documents. */
    private readonly settings: Pick<Settings, 'alertUrl' | 'serverId' | 'group'>,
  ) {}

  /** Raises an alarm. A new one is reported immediately; for an active one only the detail is updated. */
  raise(kind: AlarmKind, subject: string, detail: string): void {
    const name = `${kind} ${subject}`;
    const known = this.active.get(name);
    if (known) {
      known.detail = detail;
      return;
    }
    const alarm = { kind, subject, detail, since: new Date(), pause: FIRST_PAUSE_SECONDS, timer: undefined };
    this.active.set(name, alarm);
    this.report(alarm);
  }

  /** Clears an alarm and reports that; does nothing if it is not active. */
  clear(kind: AlarmKind, subject: string): void {
    const alarm = this.active.get(`${kind} ${subject}`);
    if (!alarm) return;
    clearTimeout(alarm.timer);
    this.active.delete(`${kind} ${subject}`);
    this.log.info({ alarm: kind, subject }, 'an alarm is over');
    this.post(alarm, 'over');
  }

  /** The subjects of the active alarms of a kind. */
  subjects(kind: AlarmKind): string[] {
    return [...this.active.values()].filter((alarm) => alarm.kind === kind).map(({ subject }) => subject);
  }

  /** Human-readable texts of the active alarms, each beginning with its kind. */
  get texts(): string[] {
    return [...this.active.values()].map(({ kind, subject, detail }) => `${kind}: ${subject}: ${detail}`);
  }

  /** Number of active alarms of each kind. */
  get counts(): Map<AlarmKind, number> {
    const counts = new Map<AlarmKind, number>();
    for (const { kind } of this.active.values()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    return counts;
  }

  stop(): void {
    for (const { timer } of this.active.values()) clearTimeout(timer);
  }

  private report(alarm: Alarm): void {
    const { kind, subject, detail, since } = alarm;
    this.log.error({ alarm: kind, subject, since: since.toISOString() }, detail);
    this.post(alarm, 'active');
    alarm.timer = setTimeout(() => this.report(alarm), alarm.pause * 1000).unref();
    alarm.pause = Math.min(LONGEST_PAUSE_SECONDS, alarm.pause * 2);
  }

  private post({ kind, subject, detail, since }: Alarm, state: 'active' | 'over'): void {
    if (this.settings.alertUrl === undefined) return;
    const { serverId, group } = this.settings;
    const body = JSON.stringify({ state, alarm: kind, subject, detail, since: since.toISOString(), serverId, group });
    const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body } as const;
    request(this.settings.alertUrl, { ...options, headersTimeout: POST_MILLISECONDS, bodyTimeout: POST_MILLISECONDS })
      .then((answer) => answer.body.dump())
      .catch((error: unknown) => this.log.warn({ err: error }, 'alertUrl could not be told; it is told again later'));
  }
}
