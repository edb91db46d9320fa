import { print } from '../output.js';

/** A difference between the list and the store, or what became of it. */
export type Difference =
  | { state: 'unnamed'; id: string; size: number; created: string }
  | { state: 'missing' | 'deleted'; id: string }
  | { state: 'unknown'; id: string; detail: string };

/** What was read of a list. */
export interface ReadList {
  /** Different files. */
  files: number;
  /** Lines without an ID. */
  bad: number;
  /** Whether the last line ends with a line feed. */
  isEnded: boolean;
}

/** What a group has, as far as it was judged. */
export interface Group {
  name: string;
  isJudged: boolean;
  files: number;
  unnamed: number;
  /** Of the unnamed files. */
  bytes: number;
}

/** Prints differences as they are found: a line each, a table with commas, or one JSON array. */
export class Report {
  private count = 0;

  constructor(private readonly form: { json?: boolean; csv?: boolean }) {}

  begin(): void {
    if (this.form.csv) print('state,id,size,created\n');
  }

  add(differences: readonly Difference[]): void {
    print(differences.map((difference) => this.lineOf(difference)).join(''));
  }

  end(): void {
    if (this.form.json) print(this.count === 0 ? '[]\n' : '\n]\n');
  }

  private lineOf(difference: Difference): string {
    const { state, id } = difference;
    const [size, created] = state === 'unnamed' ? [difference.size, difference.created] : ['', ''];
    if (state === 'unknown') process.stderr.write(`fidfs: ${id}: ${difference.detail}\n`);
    if (this.form.csv) return `${state},${id},${size},${created}\n`;
    if (this.form.json) return `${this.count++ === 0 ? '[' : ','}\n  ${JSON.stringify(difference)}`;
    return `${`${state} ${id} ${size} ${created}`.trimEnd()}\n`;
  }
}
