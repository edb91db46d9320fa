import type { Settings } from '../daemon/config/settings.js';
import { extensionsByType } from '../daemon/http/extension.js';

/** Below this nothing is gained, in bytes. */
const LEAST = 1024;

/** nginx's table of types takes no longer names; text/html is always in it. */
const MOST_CHARACTERS = 44;

function types(pattern: RegExp): string {
  return [...extensionsByType().keys()]
    .filter((type) => pattern.test(type) && type !== 'text/html' && type.length <= MOST_CHARACTERS)
    .join(' ');
}

/** What is compressed on its way to those who take it: text, scripts, JSON, XML; never what is compressed already. */
export function compression({ gzip }: Pick<Settings, 'gzip'>): string {
  if (gzip === 'off') return 'gzip off;';
  return `gzip on;
  gzip_min_length ${LEAST};
  gzip_vary on;
  gzip_proxied any;
  gzip_types ${types(/^text\/|[/+](?:json|xml)$/)};`;
}

/** What text is said to be written in. XML says it itself. */
export function charset({ charset }: Pick<Settings, 'charset'>): string {
  if (charset === 'off') return 'charset off;';
  return `charset ${charset};
  charset_types ${types(/^text\/(?!.*xml$)/)};`;
}
