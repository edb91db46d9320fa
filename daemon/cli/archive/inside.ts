import { realpathSync } from 'node:fs';
import { dirname, isAbsolute, join, normalize, relative, sep } from 'node:path';
import { CommandFailed } from '../errors.js';

/**
 * Returns the path of a name below a directory. Throws CommandFailed if the name, or a symbolic link in its directories, leads out of
 * it, because the list may come from somebody else.
 * @param root the real path of the directory
 */
export function pathInside(root: string, name: string): string {
  if (name === '' || /[\u0000-\u001f\u007f]/.test(name)) throw new CommandFailed('is not a file name');
  if (isAbsolute(name)) throw new CommandFailed('is not a path below the directory');
  const path = normalize(join(root, name));
  let directory: string;
  try {
    directory = realpathSync(dirname(path));
  } catch (error) {
    throw new CommandFailed(`cannot be read: ${(error as Error).message}`, { cause: error });
  }
  if (!isWithin(root, directory)) throw new CommandFailed('leads out of the directory');
  return path;
}

/** Whether a path is the directory itself, or below it. */
function isWithin(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== '..' && !way.startsWith(`..${sep}`);
}
