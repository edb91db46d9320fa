import type { Settings } from '../daemon/config/settings.js';
import { extensionsByType } from '../daemon/http/extension.js';
import { quoted } from './quote.js';

/** Below this nothing is gained, in bytes. */
const LEAST = 1024;

/** nginx's table of types takes no longer names. */
const MOST_CHARACTERS = 44;

/**
 * A media type as files are served with it: text says what it is written in (XML does by itself). It is part of the type, because
 * nginx's own `charset` would stay on an error that comes after it (416), whatever type that has.
 */
export function servedType(type: string, { charset }: Pick<Settings, 'charset'>): string {
  return charset === 'off' || !/^text\/(?!.*xml$)/.test(type) ? type : `${type}; charset=${charset}`;
}

/** What is compressed on its way to those who take it: text, scripts, JSON, XML; never what is compressed already. */
export function compression(settings: Pick<Settings, 'gzip' | 'charset'>): string {
  if (settings.gzip === 'off') return 'gzip off;';
  const types = [...extensionsByType().keys()].filter((type) => /^text\/|[/+](?:json|xml)$/.test(type));
  // Of what another node sends nginx knows the type without its charset; text/html is always in the table.
  const names = new Set(types.flatMap((type) => [type, servedType(type, settings)]));
  names.delete('text/html');
  const fitting = [...names].filter((name) => name.length <= MOST_CHARACTERS);
  return `gzip on;
  gzip_min_length ${LEAST};
  gzip_vary on;
  gzip_proxied any;
  gzip_types ${fitting.map((name) => quoted(name)).join(' ')};`;
}
