/** The extension that the server would take from a file's name (daemon/http/extension.ts); empty when none fits. */
export function extensionOf(name: string): string {
  if (/[^.]\.tar\.gz$/i.test(name)) return name.slice(-6);
  const dot = name.lastIndexOf('.');
  const extension = dot > 0 ? name.slice(dot + 1) : '';
  return /^[A-Za-z0-9]{1,6}$/.test(extension) ? extension : '';
}

/** Whether a browser can show it as a picture, by its name or ID. */
export function isPicture(name: string): boolean {
  return /\.(?:png|jpe?g|gif|webp|avif)$/i.test(name);
}
