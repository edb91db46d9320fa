import type { Item } from './item';

/** Sums over the list. */
export interface Totals {
  files: number;
  done: number;
  failed: number;
  active: number;
  paused: number;
  bytes: number;
  bytesDone: number;
  /** Bytes per second over all uploads. */
  speed: number;
}

export function totalsOf(items: readonly Item[]): Totals {
  const totals = { files: items.length, done: 0, failed: 0, active: 0, paused: 0, bytes: 0, bytesDone: 0, speed: 0 };
  for (const item of items) {
    const { name } = item.phase.peek();
    totals.bytes += item.size;
    totals.bytesDone += name === 'done' ? item.size : item.sent.bytes.peek();
    if (name === 'done') totals.done++;
    if (name === 'failed') totals.failed++;
    if (name === 'paused') totals.paused++;
    if (name === 'sending') totals.speed += item.sent.speed.peek();
    if (item.isActive) totals.active++;
  }
  return totals;
}
