/** The median. */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/** The quantile of `share`: 0.99 for the 99th percentile. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** Median and spread: "10.2k (9.8k to 10.5k)". */
export function withSpread(numbers: readonly number[], unit = ''): string {
  return `${short(median(numbers))}${unit} (${short(Math.min(...numbers))} to ${short(Math.max(...numbers))})`;
}

/** Formats a number with about three significant digits. */
export function short(number: number): string {
  if (number >= 10_000) return `${(number / 1000).toFixed(1)}k`;
  return number >= 100 ? number.toFixed(0) : number >= 10 ? number.toFixed(1) : number.toFixed(2);
}

/** Formats rows as a Markdown table; the first row is the heading. */
export function markdownTable(rows: string[][]): string {
  const line = (row: string[]) => `| ${row.join(' | ')} |`;
  const [heading = [], ...others] = rows;
  return [line(heading), line(heading.map(() => '---')), ...others.map(line)].join('\n');
}
