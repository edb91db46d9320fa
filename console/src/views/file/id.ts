/** The ID in what somebody pasted: a bare one, or an address that ends in one; else what was pasted, trimmed. */
export function idIn(text: string): string {
  const trimmed = text.trim();
  const found = /[^/?#\s]+\/M[0-9A-Fa-f]{2}\/[^?#\s]+/.exec(trimmed);
  return found ? found[0] : trimmed;
}

/** Whether its path is below wherever it is appended. What was pasted may be anything, and is sent with the key. */
export function isPathSafe(id: string): boolean {
  return id.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

/** An ID as it stands in an address. */
export function pathOf(id: string): string {
  return id.split('/').map(encodeURIComponent).join('/');
}
