import { counted } from '../words.js';
import { StoreError } from './errors.js';
import type { StorePath } from './store-path.js';

/** Whether uploads may go to the store path with this number. */
export type MayTake = (storePath: number) => boolean;

/**
 * Chooses the store path for a file of `size` bytes: the one with the most available space among those that can take it. Throws a
 * StoreError (full or unavailable) with the reason for each path if there is none.
 */
export function roomiest(paths: readonly StorePath[], size: number, mayTake: MayTake): StorePath {
  const found = look(paths, size, mayTake);
  if (found) return found;
  // The free space is up to a second old.
  refresh(paths);
  const freed = look(paths, size, mayTake);
  if (freed) return freed;
  const notHere = ({ number }: StorePath) => (mayTake(number) ? 'full' : 'too few other nodes can take copies there');
  const reasons = paths.map((path) => `${path.root}: ${path.unavailable ?? notHere(path)}`).join('; ');
  if (paths.every((path) => path.unavailable !== undefined || !mayTake(path.number))) {
    throw new StoreError('unavailable', `no store path takes files: ${reasons}`);
  }
  throw new StoreError('full', `no store path has room for ${counted(size, 'byte')} above its reserve: ${reasons}`);
}

/** Whether the store paths together have `size` bytes available. */
export function fitsSpread(paths: readonly StorePath[], size: number, mayTake: MayTake): boolean {
  const usable = paths.filter((path) => path.unavailable === undefined && mayTake(path.number));
  return size <= usable.reduce((sum, { space }) => sum + space.available, 0);
}

function look(paths: readonly StorePath[], size: number, mayTake: MayTake): StorePath | undefined {
  let best: StorePath | undefined;
  for (const path of paths) {
    const { available } = path.space;
    if (
      path.unavailable === undefined &&
      available >= size &&
      available > 0 &&
      available > (best?.space.available ?? 0) &&
      mayTake(path.number)
    ) {
      best = path;
    }
  }
  return best;
}

function refresh(paths: readonly StorePath[]): void {
  for (const path of paths) if (path.unavailable === undefined) path.refresh();
}
