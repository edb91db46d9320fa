import type { IconName } from '../ui/icons';

/*
 * What the extension of a file says of it. Nothing depends on it but what is shown.
 */

const ICONS: [icon: IconName, extensions: RegExp][] = [
  ['picture', /^(?:png|jpe?g|gif|webp|avif|tiff?|bmp|svgz?|hei[cf]|ico)$/],
  ['video', /^(?:mp4|m4v|webm|mkv|mov|avi|flv|mpe?g|ts|m3u8)$/],
  ['sound', /^(?:mp3|m4a|aac|ogg|opus|flac|wav)$/],
  ['archive', /^(?:zip|gz|tgz|tar\.gz|bz2|xz|zst|7z|rar|tar|jar|deb|rpm|iso)$/],
  ['text', /^(?:txt|md|csv|json|xml|ya?ml|html?|css|js|log|pdf|docx?|odt|xlsx?|ods|pptx?|odp|rtf)$/],
];

/** The icon for an extension. */
export function iconFor(ext: string): IconName {
  return ICONS.find(([, extensions]) => extensions.test(ext.toLowerCase()))?.[0] ?? 'file';
}

/** Whether the server probably makes pictures of files with this extension. */
export function hasPictures(ext: string): boolean {
  return /^(?:png|jpe?g|gif|webp|avif|tiff?)$/i.test(ext);
}

/** The extension in an ID, without its dot; empty if it has none. */
export function extensionIn(id: string): string {
  return /\.([^./]{1,6})$/.exec(id)?.[1] ?? '';
}

/** The last part of an ID. */
export function nameOf(id: string): string {
  return id.slice(id.lastIndexOf('/') + 1);
}

/** The last characters of a name, in which files of one time differ. */
export function endOf(name: string): string {
  return name.length <= ENDING ? name : `…${name.slice(-ENDING)}`;
}

const ENDING = 17;
