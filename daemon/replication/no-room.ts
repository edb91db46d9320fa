import type { Alarms } from '../alarm.js';
import {
  LONGEST_PAUSE_MILLISECONDS,
  type Missing,
  type MissingFile,
  POSTPONED_MILLISECONDS,
} from '../index/missing.js';
import { decodeName } from '../store/names.js';
import { counted } from '../words.js';

interface Refused {
  file: MissingFile;
  /** The subject of the alarm that counts it. */
  subject: string;
  /** Number of refusals in a row. */
  times: number;
  /** When it is tried again, as of `performance.now()`. */
  due: number;
}

/**
 * Files of other nodes that do not fit on this one. Their tries have growing pauses, and an alarm for each node says how many there
 * are, from the second refusal in a row on: other uploads may hold a reservation for a moment.
 */
export class NoRoom {
  /** By key. */
  private readonly files = new Map<string, Refused>();
  /** Number of those with an alarm, and why the last one was refused, by subject. */
  private readonly told = new Map<string, { number: number; reason: string }>();

  constructor(
    private readonly alarms: Pick<Alarms, 'raise' | 'clear'>,
    private readonly missing: Pick<Missing, 'find'>,
  ) {}

  /** Records that there is no space for a file. Returns the milliseconds to wait before the next try. */
  refused(file: MissingFile, reason: string): number {
    const key = keyOf(file);
    const { times: before = 0, subject = subjectOf(file) } = this.files.get(key) ?? {};
    const times = before + 1;
    const pause = Math.min(LONGEST_PAUSE_MILLISECONDS, POSTPONED_MILLISECONDS * 2 ** before);
    this.files.set(key, { file, subject, times, due: performance.now() + pause });
    if (times > 1) this.tell(subject, { more: times === 2 ? 1 : 0, reason });
    return pause;
  }

  /** Records that a file is stored, or is missing for another reason. */
  over(file: MissingFile): void {
    const key = keyOf(file);
    const known = this.files.get(key);
    this.files.delete(key);
    if (known && known.times > 1) this.tell(known.subject, { more: -1 });
  }

  /** Forgets the files that are not missing any more, such as deleted ones: they are not tried again. */
  check(): void {
    for (const { file, due } of [...this.files.values()]) {
      if (performance.now() > due && !this.isMissing(file)) this.over(file);
    }
  }

  private isMissing({ key }: MissingFile): boolean {
    try {
      return this.missing.find(key) !== undefined;
    } catch {
      return true; // an unusable index has its own alarm
    }
  }

  private tell(subject: string, { more, reason }: { more: number; reason?: string }): void {
    const { number, reason: last = '' } = this.told.get(subject) ?? { number: 0 };
    const now = { number: number + more, reason: reason ?? last };
    if (now.number > 0) {
      this.told.set(subject, now);
      const said = `${counted(now.number, 'file')} cannot be copied to this node until there is more space`;
      this.alarms.raise('replication', subject, `${said}: ${now.reason}`);
    } else {
      this.told.delete(subject);
      this.alarms.clear('replication', subject);
    }
  }
}

function keyOf({ key }: MissingFile): string {
  return key.toString('latin1');
}

/** The subject of the alarm: the node whose log contains the file, otherwise its source. */
function subjectOf({ peer, name }: MissingFile): string {
  if (peer > 0) return `files of node ${peer}`;
  const { source } = decodeName(name);
  return 'serverId' in source ? `files of node ${source.serverId}` : 'files of other nodes';
}
