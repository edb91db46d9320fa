import type { Settings } from '../daemon/config/settings.js';
import { extensionsByType } from '../daemon/http/extension.js';
import { quoted } from './quote.js';

/** Smallest response worth compressing, in bytes. */
const LEAST = 1024;

/**
 * Extensions whose media types are compressed: text, scripts, data and SVG; no formats that are compressed already. Rare text
 * types are left out, because nginx warns that its hash table of so many types would be slow.
 */
const COMPRESSED = new Set(
  'txt log csv tsv md htm html css js mjs json map xml xsl rss atom rdf svg ics vcf yaml yml vtt srt gpx kml'.split(
    ' ',
  ),
);

/**
 * Returns the Content-Type for a media type: text types except XML, which declares its own encoding, get a `charset`
 * parameter. nginx's own `charset` directive would also add it to a later error response (416) of another type.
 */
export function servedType(type: string, { charset }: Pick<Settings, 'charset'>): string {
  return charset === 'off' || !/^text\/(?!.*xml$)/.test(type) ? type : `${type}; charset=${charset}`;
}

/** Returns the gzip directives of the download locations. */
export function compression(settings: Pick<Settings, 'gzip' | 'charset'>): string {
  if (settings.gzip === 'off') return 'gzip off;';
  const all = [...extensionsByType()];
  const types = all.filter(([, extensions]) => extensions.some((one) => COMPRESSED.has(one))).map(([type]) => type);
  // For proxied responses nginx compares the type without its charset. text/html is always in nginx's table.
  const names = new Set(types.flatMap((type) => [type, servedType(type, settings)]));
  names.delete('text/html');
  return `gzip on;
  gzip_min_length ${LEAST};
  gzip_vary on;
  gzip_proxied any;
  gzip_types ${[...names].map((name) => quoted(name)).join(' ')};`;
}
