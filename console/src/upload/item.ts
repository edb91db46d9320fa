import { signal } from '@preact/signals';
import type { Failure } from '../http/failure';
import { Progress } from './progress';

/** What an upload is doing. */
export type Phase =
  | { name: 'queued' | 'hashing' | 'checking' | 'sending' | 'paused' | 'interrupted' }
  /** Goes on by itself: at `again` (milliseconds since 1970), or, without it, with a key. */
  | { name: 'waiting'; failure: Failure; again: number | undefined }
  | { name: 'done'; stored: Stored }
  | { name: 'failed'; failure: Failure };

/** A file that the server has. */
export interface Stored {
  id: string;
  url: string;
  /** Whether it was there already, so that nothing was sent. */
  already: boolean;
}

/** What is known of a file without its bytes. */
export interface Description {
  name: string;
  /** Within the folder that was chosen; empty for a file that was chosen by itself. */
  folder: string;
  size: number;
  lastModified: number;
  type: string;
}

/** One row of the list. */
export class Item {
  readonly phase = signal<Phase>({ name: 'queued' });
  readonly hashed: Progress;
  readonly sent: Progress;
  /** Gone after a reload, until it is chosen again. */
  file: File | undefined;
  /** The upload's address on the server, once it has begun there. */
  tusUrl: string | undefined;
  sha256: string | undefined;
  /** Stops what is going on for it. */
  abort = new AbortController();

  constructor(
    readonly key: string,
    /** Grows from row to row. */
    readonly added: number,
    readonly description: Description,
    /** Called when anything changes. */
    readonly changed: () => void,
  ) {
    this.hashed = new Progress(changed);
    this.sent = new Progress(changed);
  }

  get size(): number {
    return this.description.size;
  }

  enter(phase: Phase): void {
    this.phase.value = phase;
    this.changed();
  }

  get isActive(): boolean {
    return ['queued', 'hashing', 'checking', 'sending', 'waiting'].includes(this.phase.peek().name);
  }
}
