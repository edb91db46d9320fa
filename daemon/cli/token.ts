import { createHash } from 'node:crypto';
import type { Settings } from '../config/settings.js';
import { linkQuery } from '../config/signed-link.js';

/** How long the link of a download by the command is valid, in seconds; the clocks of the two machines may differ by as much. */
const LINK_SECONDS = 3600;

/**
 * The query with FastDFS's token or the signature for the download of a file, made now; empty if the settings have no key for either. A
 * group whose files need no link takes no notice of the signature.
 */
export function tokenQuery(
  { fastdfsTokenKey, downloadKey }: Pick<Settings, 'fastdfsTokenKey' | 'downloadKey'>,
  id: string,
): string {
  const now = Math.floor(Date.now() / 1000);
  if (fastdfsTokenKey !== undefined) {
    const name = id.slice(id.indexOf('/') + 1);
    return `?token=${createHash('md5').update(`${name}${fastdfsTokenKey}${now}`).digest('hex')}&ts=${now}`;
  }
  const [key] = downloadKey ?? [];
  return key === undefined ? '' : linkQuery(key, { id, expires: now + LINK_SECONDS });
}
