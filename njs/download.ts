/*
 * Download names: `?download=<name>`, and FastDFS's `?filename=`, as a Content-Disposition header (RFC 6266, 5987).
 */

/**
 * The header's value for a name as it stands in the query (percent-encoded UTF-8, + for a space, as forms write it).
 * Empty when the name is refused: malformed encoding, control characters, or nothing left of it.
 */
function contentDisposition(encoded: string): string {
  let name: string;
  try {
    name = decodeURIComponent(encoded.replace(/\+/g, ' '));
  } catch (_error) {
    return ''; // not UTF-8 or not percent-encoding: the caller answers 400
  }
  // C0, DEL and C1 controls, the line separators, and the marks that turn the direction of text ("gpj.exe").
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(name)) return '';
  name = name.replace(/[/\\]/g, '_');
  if (name === '' || name.length > 255) return '';
  const ascii = name.replace(/[^\x20-\x7e]/g, '_').replace(/["%]/g, '_');
  // RFC 5987's attr-char leaves out these, which encodeURIComponent keeps.
  const extended = encodeURIComponent(name).replace(/['()*]/g, percent);
  return `attachment; filename="${ascii}"; filename*=UTF-8''${extended}`;
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

export default { contentDisposition: contentDisposition };
