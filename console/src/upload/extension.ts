/** Whether a browser can show the file as a picture, by the extension of its name or ID. */
export function isPicture(name: string): boolean {
  return /\.(?:png|jpe?g|gif|webp|avif)$/i.test(name);
}
