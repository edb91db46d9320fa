import { hasPictures, nameOf } from './kinds';
import type { ListedFile } from './list';

/** The forms in which links are copied. */
export const FORMS = ['plain', 'markdown', 'html'] as const;
export type Form = (typeof FORMS)[number];

/** The text of one link. */
export function linkText({ id, ext }: Pick<ListedFile, 'id' | 'ext'>, address: string, form: Form): string {
  const name = nameOf(id);
  if (form === 'markdown') {
    const words = name.replace(/[\\`*_{}[\]<>()#+!|~-]/g, '\\$&');
    return `${hasPictures(ext) ? '!' : ''}[${words}](<${address.replace(/[<>\\]/g, encodeURIComponent)}>)`;
  }
  if (form === 'html') {
    const [to, words] = [escaped(address), escaped(name)];
    return hasPictures(ext) ? `<img src="${to}" alt="${words}">` : `<a href="${to}">${words}</a>`;
  }
  return address;
}

function escaped(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replace(/[&<>"]/g, (character) => entities[character] ?? '');
}
