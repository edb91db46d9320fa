import type { Description, Item } from './item';

/** Finds the existing row of a selected file. */
export class Rows {
  private readonly active = new Set<string>();
  private readonly left = new Map<string, Item[]>();

  constructor(rows: readonly Item[]) {
    for (const row of rows) {
      const { name } = row.phase.peek();
      if (row.isActive || name === 'paused') this.active.add(this.exact(row.description));
      if (name !== 'interrupted' && name !== 'failed') continue;
      const found = this.left.get(this.loose(row.description)) ?? [];
      this.left.set(this.loose(row.description), [...found, row]);
    }
  }

  hasActive(description: Description): boolean {
    return this.active.has(this.exact(description));
  }

  /** Returns an interrupted row for the file, preferably of the same folder; each row once. */
  takeLeft(description: Description): Item | undefined {
    const rows = this.left.get(this.loose(description)) ?? [];
    const same = rows.findIndex((row) => row.description.folder === description.folder);
    return rows.splice(Math.max(same, 0), 1)[0];
  }

  private loose({ name, size, lastModified }: Description): string {
    return JSON.stringify([name, size, lastModified]);
  }

  private exact(description: Description): string {
    return `${this.loose(description)}${description.folder}`;
  }
}
