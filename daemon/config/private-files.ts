import { z } from 'zod';
import { faultOfSecret, isSecret, oneOf } from './values.js';

/*
 * The settings of private files, whose downloads need signed links.
 */

const KEY_WORDS =
  'write one secret of 16 to 256 visible ASCII characters without a comma, or two with a comma between them';

/** One or two secrets, in a list or with a comma between them. Messages never contain them. */
const downloadKeys = z.union([z.string(), z.array(z.string())], { error: KEY_WORDS }).transform((given, context) => {
  const keys = (typeof given === 'string' ? given.split(',') : given).map((key) => key.trim());
  const isAllowed = keys.length >= 1 && keys.length <= 2 && keys.every((key) => isSecret(key) && !key.includes(','));
  if (isAllowed) return keys;
  const fault = keys.length > 2 ? undefined : keys.map(faultOfSecret).find((one) => one !== undefined);
  context.addIssue({ code: 'custom', message: fault === undefined ? KEY_WORDS : `${fault}; one or two of them` });
  return z.NEVER;
});

/** The settings of private files. */
export const privateFileSettings = {
  downloads: oneOf('open', 'signed').default('open'),
  downloadKey: downloadKeys.optional(),
};

/** Mistakes in their combination with each other and with other settings. */
export function contradictionsOfPrivateFiles(settings: {
  downloads: 'open' | 'signed';
  downloadKey?: string[] | undefined;
  fastdfsTokenKey?: string | undefined;
}): string[] {
  const { downloads, downloadKey, fastdfsTokenKey } = settings;
  if (downloads === 'open') return [];
  const mistakes: string[] = [];
  if (downloadKey === undefined) {
    mistakes.push('downloadKey: with "downloads": "signed" it must be set, the same on all nodes of the group');
  }
  if (fastdfsTokenKey !== undefined) {
    mistakes.push('downloads: with fastdfsTokenKey it must be "open": a link has a token of FastDFS or a signature');
  }
  return mistakes;
}
