import { signal } from '@preact/signals';

/** The current view, encoded in the fragment of the address. */
export type Route = { view: 'upload' } | { view: 'files' } | { view: 'file'; id: string } | { view: 'cluster' };

function parse(hash: string): Route {
  const path = hash.replace(/^#\/?/, '');
  if (path === 'cluster') return { view: 'cluster' };
  if (path === 'files') return { view: 'files' };
  if (path === 'file' || path.startsWith('file/')) return { view: 'file', id: decoded(path.slice(5)) };
  return { view: 'upload' };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // invalid percent-encoding; the server will answer with an error
  }
}

export const route = signal<Route>(parse(location.hash));
window.addEventListener('hashchange', () => {
  route.value = parse(location.hash);
});

/** Returns the fragment of a file's view. */
export function fileRoute(id: string): string {
  return `#/file/${id.split('/').map(encodeURIComponent).join('/')}`;
}
