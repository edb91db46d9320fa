import { loadSettings } from '../config/settings.js';
import { Client } from './client.js';
import { print, printJson } from './output.js';
import type { Options } from './transfer.js';

/** Lets the running node read its settings again, and prints the names of those that have changed. Rejects with CommandFailed. */
export async function reload(options: Options): Promise<void> {
  const { changed } = await new Client(loadSettings(options.config), undefined).reload();
  if (options.json) printJson({ changed });
  else print(changed.length === 0 ? 'nothing has changed\n' : `taken: ${changed.join(', ')}\n`);
}
