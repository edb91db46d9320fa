import { extname } from 'node:path';
import type { Settings } from '../daemon/config/settings.js';
import { extensionsByType, servedType } from '../daemon/http/extension.js';
import { downloadHeaders } from './cors.js';
import { errorPages } from './problem-pages.js';
import { quoted } from './quote.js';

/**
 * Returns an internal location that sends a file of the settings in place of a problem document, whole, whatever the request's
 * conditions; its status is that of the `error_page` that leads there. `fallback` answers if the file cannot be read.
 */
export function pictureLocation(settings: Settings, file: string, location: string, fallback: string): string {
  const extension = extname(file).slice(1).toLowerCase();
  const found = [...extensionsByType()].find(([, extensions]) => extensions.includes(extension));
  const type = found === undefined ? 'application/octet-stream' : servedType(found[0], settings);
  return `location = ${location} {
  internal;
  alias ${quoted(file)};
  # The type is that of the file; nginx would take the extension in the URI.
  types { }
  default_type ${quoted(type)};
  etag off;
  if_modified_since off;
  max_ranges 0;
  add_header Cache-Control no-store always;
  add_header X-Content-Type-Options nosniff always;
  ${downloadHeaders(settings, true)}
  recursive_error_pages on;
  error_page 403 404 = ${fallback};
  ${errorPages(405, 500)}
}
`;
}
