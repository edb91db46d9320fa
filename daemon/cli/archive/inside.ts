import { realpathSync } from 'node:fs';
import { dirname, isAbsolute, join, normalize, relative, sep } from 'node:path';
import { CommandFailed } from '../errors.js';

/**
 * Returns the path of a name below a directory. Throws CommandFailed if the name, or a symbolic link in its directories, leads out of
 * it, because the list may come from somebody else.
 * @param root the real path of the directory
 */
export function pathInside(root: string, name: string): string {
  if (name === '' || /[\u0000-\u001f\u007f]/.test(name)) throw new CommandFailed('is no name of a file');
  const path = normalize(join(root, name));
  if (isAbsolute(name) || !isBelow(root, path)) throw new CommandFailed('leads out of the directory');
  let directory: string;
  try {
    directory = realpathSync(dirname(path));
  } catch (error) {
    throw new CommandFailed(`cannot be read: ${(error as Error).message}`, { cause: error });
  }
  if (directory !== root && !isBelow(root, directory))
    throw new CommandFailed('leads out of the directory by a symbolic link');
  return path;
}

function isBelow(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
