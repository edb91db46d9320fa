import fileId from '../../file-id/file-id.js';
import { allPresets } from '../config/pictures.js';
import { formatAddress, loadSettings } from '../config/settings.js';
import { linkQuery } from '../config/signed-link.js';
import { DURATION_WORDS, parseSpan } from '../config/values.js';
import { fileUrl } from '../http/public-address.js';
import { CommandFailed, UsedWrongly } from './errors.js';
import { print, printJson } from './output.js';

/** The longest time of a link, in days. */
const MOST_DAYS = 3650;

/** The options of `fidfs sign`. */
export interface SignOptions {
  config?: string;
  json?: boolean;
  for: string;
  download?: string;
  preset?: string;
}

/** Parses how long a link is valid, to seconds. Throws UsedWrongly. */
function parseTime(text: string): number {
  const seconds = Math.floor((parseSpan(text) ?? 0) / 1000);
  if (seconds < 1 || seconds > MOST_DAYS * 86_400) {
    throw new UsedWrongly(
      `--for: ${JSON.stringify(text)} is not allowed; write ${DURATION_WORDS}, up to ${MOST_DAYS}d`,
    );
  }
  return seconds;
}

/** `fidfs sign`: prints the address of a private file with a signature, made from the settings alone. */
export function sign(id: string, options: SignOptions): void {
  const settings = loadSettings(options.config);
  const { preset, download } = options;
  try {
    fileId.decode(id);
  } catch (error) {
    if (!fileId.isFileIdError(error)) throw error;
    throw new UsedWrongly(`${id} is not a file ID: ${error.message}`);
  }
  if (preset !== undefined && !allPresets(settings).has(preset)) {
    throw new UsedWrongly(`--preset: there is no ${JSON.stringify(preset)} in "pictures" of the settings`);
  }
  if (preset !== undefined && download !== undefined) {
    throw new UsedWrongly('--download: a picture of a preset has no name; leave one of the two out');
  }
  const seconds = parseTime(options.for);
  const [key] = settings.downloadKey ?? [];
  if (key === undefined)
    throw new CommandFailed(
      'links are signed with downloadKey, which is not in these settings; give the command the settings of the node (FIDFS_DOWNLOAD_KEY or --config)',
    );
  const expires = Math.floor(Date.now() / 1000) + seconds;
  const base = settings.publicUrl ?? `http://${formatAddress(settings.listen)}`;
  const address = preset === undefined ? fileUrl(settings, base, id) : `${base}/picture/${preset}/${id}`;
  const url = address + linkQuery(key, { id, expires, download, preset });
  if (options.json) printJson({ id, url, expires: new Date(expires * 1000).toISOString() });
  else print(`${url}\n`);
}
