import { DURATION_WORDS, parseSpan, parseTime } from '../config/values.js';
import { UsedWrongly } from './errors.js';

/** Parses an option to a time in milliseconds since 1970: `1h` is an hour ago. Throws UsedWrongly. */
export function parseWhen(option: string, text: string): number {
  const age = parseSpan(text);
  const time = age === undefined ? parseTime(text) : Date.now() - age;
  if (!Number.isNaN(time)) return time;
  const words = `${DURATION_WORDS}, or a time such as 2026-11-22T08:38:49Z`;
  throw new UsedWrongly(`${option}: ${JSON.stringify(text)} is not allowed; write ${words}`);
}

/** A time of milliseconds since 1970 as the node takes it. */
export function secondsOf(time: number): string {
  return Math.max(0, time / 1000).toFixed(3);
}
