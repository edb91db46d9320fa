import { UsedWrongly } from './errors.js';

const MILLISECONDS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Parses a length of time such as `1h` to milliseconds; undefined if it is none. */
export function parseAge(text: string): number | undefined {
  const [, number, unit = ''] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  return number === undefined ? undefined : Number(number) * (MILLISECONDS[unit] ?? Number.NaN);
}

/** Parses an option to a time in milliseconds since 1970: `1h` is an hour ago. Throws UsedWrongly. */
export function parseWhen(option: string, text: string): number {
  const age = parseAge(text);
  const time = age === undefined ? Date.parse(text) : Date.now() - age;
  if (!Number.isNaN(time)) return time;
  const words = 'a number with s, m, h or d, such as 1h, or a time such as 2026-11-22T08:38:49Z';
  throw new UsedWrongly(`${option}: ${JSON.stringify(text)} is not allowed; write ${words}`);
}

/** A time of milliseconds since 1970 as the node takes it. */
export function secondsOf(time: number): string {
  return Math.max(0, time / 1000).toFixed(3);
}
