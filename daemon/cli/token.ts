import type { Settings } from '../config/settings.js';
import { fastdfsTokenQuery, linkQuery } from '../config/signed-link.js';

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
  if (fastdfsTokenKey !== undefined) return fastdfsTokenQuery(fastdfsTokenKey, id);
  const [key] = downloadKey ?? [];
  return key === undefined ? '' : linkQuery(key, { id, expires: Math.floor(Date.now() / 1000) + LINK_SECONDS });
}
