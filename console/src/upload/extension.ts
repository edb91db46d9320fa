/** Returns the extension that the server would take from a file name (daemon/http/extension.ts); empty if none is valid. */
export function extensionOf(name: string): string {
  if (/[^.]\.tar\.gz$/i.test(name)) return name.slice(-6);
  const dot = name.lastIndexOf('.');
  const extension = dot > 0 ? name.slice(dot + 1) : '';
  return /^[A-Za-z0-9]{1,6}$/.test(extension) ? extension : '';
}

/** Whether a browser can show the file as a picture, by the extension of its name or ID. */
export function isPicture(name: string): boolean {
  return /\.(?:png|jpe?g|gif|webp|avif)$/i.test(name);
}
