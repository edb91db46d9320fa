/*
 * Download names: `?download=<name>`, and FastDFS's `?filename=`, as a Content-Disposition header (RFC 6266, 5987).
 */

/** The longest name, in characters. */
function longest(): number {
  return 255;
}

/**
 * Returns the header value for a name as encoded in the query (percent-encoded UTF-8, + for a space). Never fails: invalid
 * and unsafe characters are removed or replaced, and a name that is too long is cut before its extension. Without a name the
 * value is `attachment`, and the browser takes the last segment of the address.
 */
function contentDisposition(encoded: string): string {
  // C0, DEL and C1 controls, line separators, and bidirectional controls, which can disguise an extension ("gpj.exe").
  const name = shorten(
    decode(encoded.replace(/\+/g, ' '))
      .replace(/[\u0000-\u001f\u007f-\u009f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, '')
      .replace(/[/\\]/g, '_'),
  );
  if (name === '') return 'attachment';
  const ascii = name.replace(/[^\x20-\x7e]/g, '_').replace(/["%]/g, '_');
  // encodeURIComponent keeps these characters, which are not in RFC 5987's attr-char.
  const extended = encodeURIComponent(name).replace(/['()*]/g, percent);
  return `attachment; filename="${ascii}"; filename*=UTF-8''${extended}`;
}

/** Decodes percent-encoding; each invalid UTF-8 sequence becomes _, and a % without two hexadecimal digits stays. */
function decode(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch (_error) {
    return encoded.replace(/(?:%[0-9A-Fa-f]{2})+/g, decodeRun);
  }
}

function decodeRun(run: string): string {
  return Buffer.from(run.replace(/%/g, ''), 'hex')
    .toString('utf8')
    .replace(/\ufffd/g, '_');
}

function shorten(name: string): string {
  if (name.length <= longest()) return name;
  const dot = name.lastIndexOf('.');
  const extension = dot > 0 && name.length - dot <= 16 ? name.substring(dot) : '';
  // Removes half of a surrogate pair: strings are UTF-16 in QuickJS.
  return name.substring(0, longest() - extension.length).replace(/[\ud800-\udbff]$/, '') + extension;
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

export default { contentDisposition: contentDisposition };
