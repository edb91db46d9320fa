/*
 * Download names: `?download=<name>`, and FastDFS's `?filename=`, as a Content-Disposition header (RFC 6266, 5987).
 */

/** The longest name, in characters. */
function longest(): number {
  return 255;
}

/**
 * The header's value for a name as it stands in the query (percent-encoded UTF-8, + for a space, as forms write it). The file
 * is never refused for its name: what cannot be read or would do harm is left out of it, and one that is too long is cut before
 * its extension. Without a name the browser takes the last part of the address.
 */
function contentDisposition(encoded: string): string {
  // C0, DEL and C1 controls, the line separators, and the marks that turn the direction of text ("gpj.exe").
  const name = shorten(
    decode(encoded.replace(/\+/g, ' '))
      .replace(/[\u0000-\u001f\u007f-\u009f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, '')
      .replace(/[/\\]/g, '_'),
  );
  if (name === '') return 'attachment';
  const ascii = name.replace(/[^\x20-\x7e]/g, '_').replace(/["%]/g, '_');
  // RFC 5987's attr-char leaves out these, which encodeURIComponent keeps.
  const extended = encodeURIComponent(name).replace(/['()*]/g, percent);
  return `attachment; filename="${ascii}"; filename*=UTF-8''${extended}`;
}

/** What is not UTF-8 becomes one _ a character, and a percent sign that begins nothing stays. */
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
  // Where a character is two (QuickJS), none is cut in half.
  return name.substring(0, longest() - extension.length).replace(/[\ud800-\udbff]$/, '') + extension;
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

export default { contentDisposition: contentDisposition };
