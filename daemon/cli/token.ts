import { createHash } from 'node:crypto';
import type { Settings } from '../config/settings.js';

/** The query with FastDFS's token for the download of a file, made now; empty if the settings have no key for it. */
export function tokenQuery({ fastdfsTokenKey }: Pick<Settings, 'fastdfsTokenKey'>, id: string): string {
  if (fastdfsTokenKey === undefined) return '';
  const ts = Math.floor(Date.now() / 1000);
  const name = id.slice(id.indexOf('/') + 1);
  return `?token=${createHash('md5').update(`${name}${fastdfsTokenKey}${ts}`).digest('hex')}&ts=${ts}`;
}
