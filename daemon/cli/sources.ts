import { type Dirent, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isStandardInput } from './input.js';

/** A file to upload: named as an argument, or found in a named directory. */
export interface Source {
  /** A path; `-` is standard input. */
  input: string;
  /** Human-readable reason why it is not uploaded. */
  refusal?: string;
}

/** Whether a path is a directory; false if it does not exist. */
export function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Expands directories to the files below them, sorted by name; keeps other arguments and their order. */
export function sourcesOf(inputs: readonly string[]): Source[] {
  return inputs.flatMap((input) =>
    !isStandardInput(input) && isDirectory(input) ? [...filesBelow(input)] : [{ input }],
  );
}

/** The files below a directory. Does not follow symbolic links, which may form loops or lead outside the directory. */
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
