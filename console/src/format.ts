import { computed } from '@preact/signals';
import type { Failure } from './http/failure';
import { texts } from './i18n';
import { language } from './preferences';

/*
 * Formats numbers, sizes and times for the selected language.
 */

const BYTE_UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte', 'petabyte'] as const;
const TIME_UNITS = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
] as const;

const formats = computed(() => {
  const locale = language.value;
  const unit = (unit: string, digits: number, unitDisplay: 'short' | 'long' = 'short') =>
    new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay, maximumFractionDigits: digits });
  return {
    number: new Intl.NumberFormat(locale),
    fraction: new Intl.NumberFormat(locale, { maximumFractionDigits: 1 }),
    percent: new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 1 }),
    bytes: BYTE_UNITS.map((one, power) => (power === 0 ? unit(one, 0, 'long') : unit(one, 1))),
    times: TIME_UNITS.map(([one]) => unit(one, 0)),
    dateTime: new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' }),
    time: new Intl.DateTimeFormat(locale, { timeStyle: 'medium' }),
  };
});

export function count(value: number): string {
  return formats.value.number.format(value);
}

/** Formats a rate per second, with one decimal digit at most. */
export function rate(value: number): string {
  return texts.value.perSecond(formats.value.fraction.format(value));
}

export function percent(share: number): string {
  return formats.value.percent.format(share);
}

/** Formats bytes in decimal units (kB, MB, …). */
export function size(bytes: number): string {
  const power = bytes < 1000 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), BYTE_UNITS.length - 1);
  return formats.value.bytes[power]?.format(bytes / 1000 ** power) ?? '';
}

/** As `size`, followed by the exact number of bytes from 1,000 bytes up. */
export function exactSize(bytes: number): string {
  return bytes < 1000 ? size(bytes) : `${size(bytes)} (${formats.value.bytes[0]?.format(bytes)})`;
}

/** Formats a rate in bytes per second. */
export function byteRate(bytes: number): string {
  return texts.value.perSecond(bytes < 1000 ? `${count(Math.round(bytes))} B` : size(bytes));
}

/** Formats a duration, given in seconds, in its largest whole unit. */
export function duration(seconds: number): string {
  const index = TIME_UNITS.findIndex(([, length]) => seconds >= length);
  const known = index < 0 ? TIME_UNITS.length - 1 : index;
  const [, length] = TIME_UNITS[known] ?? ['second', 1];
  return formats.value.times[known]?.format(Math.round(seconds / length)) ?? '';
}

export function dateTime(when: string | number): string {
  return formats.value.dateTime.format(new Date(when));
}

export function time(when: string | number): string {
  return formats.value.time.format(new Date(when));
}

/** Describes a failure in the selected language; its `detail` is the server's English text. */
export function explanation({ problem, status }: Failure): string {
  const known: Record<string, string> = texts.value.problems;
  return known[problem] ?? texts.value.unknownProblem(count(status));
}
