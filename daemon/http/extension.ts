import { Mime } from 'mime';
import otherTypes from 'mime/types/other.js';
import standardTypes from 'mime/types/standard.js';
import type { Settings } from '../config/settings.js';
import { Problem } from '../operations/problems.js';
import { decodeWords } from './encoded-words.js';
import { USUAL_EXTENSIONS } from './media-types.js';

/** All registered media types with an extension. The registry has other extensions for audio/mpeg first. */
const mediaTypes = new Mime(standardTypes, otherTypes).define({ 'audio/mpeg': ['mp3'] }, true);

/** Matches media types that a browser would execute with the origin of this server. */
export const ACTIVE_TYPES = /html|[/+]xml|xml-|script|flash|rfc822/i;

/** The media type of formats that have none, and of unknown ones. */
export const UNKNOWN = 'application/octet-stream';

const EXTENSION = /^[A-Za-z0-9]{1,6}$/;
/** Types that clients send for files of unknown type. */
const SAYS_NOTHING = new Set([UNKNOWN, 'application/x-www-form-urlencoded', 'multipart/form-data']);

/** The extensions that fit into an ID, by their media type. */
export function extensionsByType(): Map<string, string[]> {
  const byType = new Map<string, string[]>();
  const extensions = [standardTypes, otherTypes].flatMap((types) => Object.values(types).flat());
  for (const extension of new Set(extensions.filter((one) => EXTENSION.test(one)))) {
    const type = mediaTypes.getType(extension);
    if (type) byType.set(type, [...(byType.get(type) ?? []), extension]);
  }
  return byType;
}

/** The media type of files with an extension; undefined if it is unknown. */
export function mediaTypeOf(extension: string): string | undefined {
  return mediaTypes.getType(extension) ?? undefined;
}

/** Whether two media types of extensions are one; many formats share that of unknown ones. */
export function isSameFormat(one: string | undefined, other: string | undefined): boolean {
  return one !== undefined && one === other && one !== UNKNOWN;
}

/**
 * Returns the Content-Type for a media type: text types except XML, which declares its own encoding, get a `charset`
 * parameter. nginx's own `charset` directive would also add it to a later error response (416) of another type.
 */
export function servedType(type: string, { charset }: Pick<Settings, 'charset'>): string {
  return charset === 'off' || !/^text\/(?!.*xml$)/.test(type) ? type : `${type}; charset=${charset}`;
}

function fits(extension: string): boolean {
  return EXTENSION.test(extension) || extension.toLowerCase() === 'tar.gz';
}

/** The extension of an `?ext=` parameter. Throws a Problem (`bad-extension`) if it does not fit into an ID. */
export function extensionFromParameter(extension: string): string {
  if (extension === '' || fits(extension)) return extension;
  throw new Problem('bad-extension', 'ext must be up to 6 of A-Z a-z 0-9, without a dot (or tar.gz), such as ext=jpg.');
}

/** The extension of a client's file name, which may have a path of any system; empty if it has none that fits. */
function extensionFromFileName(fileName: string): string {
  const name = decodeWords(fileName);
  // Removes the query or fragment of a name that was taken from a URL.
  return extensionAtEnd(name.replace(/\?[\w.%~-]+=.*$/s, '')) || extensionAtEnd(name.replace(/[?#].*$/s, ''));
}

function extensionAtEnd(name: string): string {
  const last = name
    .slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1)
    .slice(-100)
    .replace(/[\s.]+$/, '');
  if (/[^.]\.tar\.gz$/i.test(last)) return last.slice(-6);
  const dot = last.lastIndexOf('.');
  const extension = dot > 0 ? last.slice(dot + 1) : '';
  return fits(extension) ? extension : '';
}

function extensionFromMediaType(mediaType: string): string {
  const bare = (mediaType.split(';', 1)[0] as string).trim().toLowerCase();
  if (SAYS_NOTHING.has(bare)) return '';
  const extension = USUAL_EXTENSIONS.get(bare) ?? mediaTypes.getExtension(bare) ?? '';
  return fits(extension) ? extension : '';
}

/** The extension of a file: from its name, otherwise from its media type, otherwise empty. */
export function extensionOf(fileName: string | undefined, mediaType: string | undefined): string {
  return extensionFromFileName(fileName ?? '') || extensionFromMediaType(mediaType ?? '');
}
