import { StoreError } from './errors.js';
import type { StorePath } from './store-path.js';

/**
 * The path with the most free space among those that can take so many bytes. Throws a StoreError when there is none, which
 * says why of each.
 * @param mayTake whether uploads may go to a path, by its number
 */
export function roomiest(
  paths: readonly StorePath[],
  size: number,
  mayTake: (storePath: number) => boolean,
): StorePath {
  let best: StorePath | undefined;
  for (const path of paths) {
    const { available } = path.space;
    if (
      path.trouble === undefined &&
      available >= size &&
      available > 0 &&
      available > (best?.space.available ?? 0) &&
      mayTake(path.number)
    ) {
      best = path;
    }
  }
  if (best) return best;
  const notHere = ({ number }: StorePath) => (mayTake(number) ? 'full' : 'too few peers have it');
  const troubles = paths.map((path) => `${path.root}: ${path.trouble ?? notHere(path)}`).join('; ');
  if (paths.every((path) => path.trouble !== undefined || !mayTake(path.number))) {
    throw new StoreError('unavailable', `no store path takes files: ${troubles}`);
  }
  throw new StoreError('full', `no store path has room for ${size} bytes above its reserve: ${troubles}`);
}
