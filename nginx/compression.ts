import type { Settings } from '../daemon/config/settings.js';
import { extensionsByType, servedType } from '../daemon/http/extension.js';
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
