/** Extracts an ID from pasted text: a bare ID, or an address that ends in one; otherwise returns the text, trimmed. */
export function idIn(text: string): string {
  const trimmed = text.trim();
  const found = /[^/?#\s]+\/M[0-9A-Fa-f]{2}\/[^?#\s]+/.exec(trimmed);
  return found ? found[0] : trimmed;
}

/** Whether `id` appended to a base path stays below it. Pasted text may be anything, and the request carries the key. */
export function isPathSafe(id: string): boolean {
  return id.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

/** Returns an ID with each path segment percent-encoded. */
export function pathOf(id: string): string {
  return id.split('/').map(encodeURIComponent).join('/');
}
