import { loadSettings } from '../config/settings.js';
import { Client } from './client.js';
import { UsedWrongly } from './errors.js';
import { print } from './output.js';
import { parseWhen, secondsOf } from './times.js';
import type { Options } from './transfer.js';

/** Files that are asked for at once. */
const PAGE = 1000;
const COLUMNS = ['id', 'size', 'created', 'sha256', 'crc32', 'ext', 'kind', 'source'] as const;

export interface ListOptions extends Options {
  since?: string;
  until?: string;
  group?: string;
  ext?: string;
  oldest?: boolean;
  limit?: string;
  csv?: boolean;
}

/** Lists the files of the cluster page by page, so that memory does not grow with their number. Rejects with CommandFailed. */
export async function list({ json, csv, limit, ...options }: ListOptions): Promise<void> {
  if (json && csv) throw new UsedWrongly('--json and --csv: write one of them');
  if (limit !== undefined && !/^[1-9]\d{0,14}$/.test(limit))
    throw new UsedWrongly(`--limit: ${JSON.stringify(limit)} is not allowed; write a number such as 100`);
  const client = new Client(loadSettings(options.config), options.server);
  const query: Record<string, string> = { order: options.oldest ? 'oldest' : 'newest' };
  if (options.since !== undefined) query.from = secondsOf(parseWhen('--since', options.since));
  if (options.until !== undefined) query.to = secondsOf(parseWhen('--until', options.until));
  if (options.group !== undefined) query.group = options.group;
  if (options.ext !== undefined) query.ext = options.ext;
  let left = limit === undefined ? Number.POSITIVE_INFINITY : Number(limit);
  let printed = 0;
  if (csv) print(`${COLUMNS.join(',')}\n`);
  for (let next: string | undefined; left > 0; ) {
    const after: Record<string, string> = next === undefined ? {} : { after: next };
    const page = await client.list({ ...query, ...after, limit: String(Math.min(left, PAGE)) });
    const lines = page.files.map((file, number) => {
      if (csv) return `${COLUMNS.map((column) => file[column] ?? '').join(',')}\n`;
      if (json) return `${printed + number === 0 ? '[' : ','}\n  ${JSON.stringify(file)}`;
      return `${file.id}\n`;
    });
    print(lines.join(''));
    printed += page.files.length;
    left -= page.files.length;
    next = page.next;
    if (next === undefined) break;
  }
  if (json) print(printed === 0 ? '[]\n' : '\n]\n');
}
