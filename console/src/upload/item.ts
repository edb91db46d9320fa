import { signal } from '@preact/signals';
import type { Failure } from '../http/failure';
import { Progress } from './progress';

/** The state of an upload. */
export type Phase =
  | { name: 'queued' | 'hashing' | 'checking' | 'sending' | 'paused' | 'interrupted' }
  /** Continues at `again` (milliseconds since 1970), or, if undefined, once there is a key. */
  | { name: 'waiting'; failure: Failure; again: number | undefined }
  | { name: 'done'; stored: Stored }
  | { name: 'failed'; failure: Failure };

/** A stored file. */
export interface Stored {
  id: string;
  url: string;
  /** Whether the server had the content already, so that nothing was sent. */
  already: boolean;
}

/** Metadata of a file. */
export interface Description {
  name: string;
  /** Folder relative to the selection; empty for a file selected by itself. */
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
  /** Undefined after a reload, until the file is selected again. */
  file: File | undefined;
  /** Address of the resumable upload on the server, once created. */
  tusUrl: string | undefined;
  sha256: string | undefined;
  /** Aborts hashing, requests and waiting. */
  abort = new AbortController();

  constructor(
    readonly key: string,
    /** Position in the order of addition; increases from row to row. */
    readonly added: number,
    readonly description: Description,
    /** Called after each change. */
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
