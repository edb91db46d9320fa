import { Mime } from 'mime';
import otherTypes from 'mime/types/other.js';
import standardTypes from 'mime/types/standard.js';
import { decodeWords } from './encoded-words.js';
import { USUAL_EXTENSIONS } from './media-types.js';
import { Problem } from './problems.js';

/** All media types that have an extension; audio/mpeg is mp3 to everybody. */
const mediaTypes = new Mime(standardTypes, otherTypes).define({ 'audio/mpeg': ['mp3'] }, true);

const EXTENSION = /^[A-Za-z0-9]{1,6}$/;
/** Types that clients send when they know nothing. */
const SAYS_NOTHING = new Set(['application/octet-stream', 'application/x-www-form-urlencoded', 'multipart/form-data']);

/** The extensions that an ID can have, by their media type. */
export function extensionsByType(): Map<string, string[]> {
  const byType = new Map<string, string[]>();
  const extensions = [standardTypes, otherTypes].flatMap((types) => Object.values(types).flat());
  for (const extension of new Set(extensions.filter((one) => EXTENSION.test(one)))) {
    const type = mediaTypes.getType(extension);
    if (type) byType.set(type, [...(byType.get(type) ?? []), extension]);
  }
  return byType;
}

function fits(extension: string): boolean {
  return EXTENSION.test(extension) || extension.toLowerCase() === 'tar.gz';
}

/** The extension of a `?ext=` parameter; throws a Problem when it does not fit into an ID. */
export function extensionFromParameter(extension: string): string {
  if (extension === '' || fits(extension)) return extension;
  throw new Problem('bad-extension', 'ext must be up to 6 of A-Z a-z 0-9, without a dot (or tar.gz), such as ext=jpg.');
}

/** The extension of a client's file name, whatever path it wrote; empty when there is none that fits. */
function extensionFromFileName(fileName: string): string {
  const name = decodeWords(fileName);
  // What clients that take the name from a URL leave behind it.
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

/** The extension for a file, from its name, else from its media type, else none. */
export function extensionOf(fileName: string | undefined, mediaType: string | undefined): string {
  return extensionFromFileName(fileName ?? '') || extensionFromMediaType(mediaType ?? '');
}
