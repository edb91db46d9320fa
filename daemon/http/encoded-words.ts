/**
 * Decodes a file name in encoded-words (RFC 2047), as mail libraries write it. Does not decode charsets: only ASCII
 * characters, which are all that an extension can have, come out right.
 */
export function decodeWords(name: string): string {
  if (!name.includes('=?')) return name;
  return name
    .replace(/\?=\s+=\?/g, '?==?')
    .replace(/=\?[^?\s]{1,40}\?([BbQq])\?([^?]*)\?=/g, (_word, encoding: string, text: string) =>
      /b/i.test(encoding) ? Buffer.from(text, 'base64').toString('latin1') : decodeQuoted(text),
    );
}

function decodeQuoted(text: string): string {
  return text
    .replaceAll('_', ' ')
    .replace(/=([0-9A-Fa-f]{2})/g, (_escape, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
