import { type Dirent, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isStandardInput } from './input.js';

/** What is named for an upload, or was found in a directory that is. */
export interface Source {
  /** A path; `-` is standard input. */
  input: string;
  /** Why it is not to be sent, for people. */
  refusal?: string;
}

/** Whether what is named is a directory; what is not there is none. */
export function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** All files of the named directories, and what else is named, in the order of the names and within a directory in theirs. */
export function sourcesOf(inputs: readonly string[]): Source[] {
  return inputs.flatMap((input) =>
    !isStandardInput(input) && isDirectory(input) ? [...filesBelow(input)] : [{ input }],
  );
}

/** The files below a directory. Symbolic links are not followed: they may lead around in circles, or to what nobody meant. */
function* filesBelow(directory: string): Generator<Source> {
  let entries: Dirent[];
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    yield { input: directory, refusal: `cannot be read: ${(error as Error).message}` };
    return;
  }
  for (const entry of entries.sort((one, other) => (one.name < other.name ? -1 : 1))) {
    const input = join(directory, entry.name);
    if (entry.isDirectory()) yield* filesBelow(input);
    else if (entry.isFile()) yield { input };
    else if (entry.isSymbolicLink())
      yield { input, refusal: 'is a symbolic link, which is not followed; name what it leads to' };
    else yield { input, refusal: 'is neither a file nor a directory' };
  }
}
