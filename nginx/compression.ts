import type { Settings } from '../daemon/config/settings.js';
import { extensionsByType } from '../daemon/http/extension.js';
import { quoted } from './quote.js';

/** Below this nothing is gained, in bytes. */
const LEAST = 1024;

/**
 * What is worth it, by extension: text, scripts, data, SVG; never what is compressed already. Not every text type there is:
 * nginx's table of so many would be slow (it warns of that), and hardly any site has them.
 */
const COMPRESSED = new Set(
  'txt log csv tsv md htm html css js mjs json map xml xsl rss atom rdf svg ics vcf yaml yml vtt srt gpx kml'.split(
    ' ',
  ),
);

/**
 * A media type as files are served with it: text says what it is written in (XML does by itself). It is part of the type, because
 * nginx's own `charset` would stay on an error that comes after it (416), whatever type that has.
 */
export function servedType(type: string, { charset }: Pick<Settings, 'charset'>): string {
  return charset === 'off' || !/^text\/(?!.*xml$)/.test(type) ? type : `${type}; charset=${charset}`;
}

/** What is compressed on its way to those who take it. */
export function compression(settings: Pick<Settings, 'gzip' | 'charset'>): string {
  if (settings.gzip === 'off') return 'gzip off;';
  const all = [...extensionsByType()];
  const types = all.filter(([, extensions]) => extensions.some((one) => COMPRESSED.has(one))).map(([type]) => type);
  // Of what another node sends nginx knows the type without its charset; text/html is always in the table.
  const names = new Set(types.flatMap((type) => [type, servedType(type, settings)]));
  names.delete('text/html');
  return `gzip on;
  gzip_min_length ${LEAST};
  gzip_vary on;
  gzip_proxied any;
  gzip_types ${[...names].map((name) => quoted(name)).join(' ')};`;
}
