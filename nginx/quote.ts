import { characterIn } from '../daemon/words.js';

/*
 * Quoting for every value from outside, such as a path of the settings, in the nginx configuration.
 */

/** Characters that a value cannot contain: control characters, and $, which begins a variable and cannot be escaped. */
const REFUSED = /[\u0000-\u001f\u007f$]/;

/** Describes values without the characters of `REFUSED`, for messages. */
export const QUOTABLE_WORDS = 'without control characters and $';

/** Returns a description of the first character that a value cannot contain; undefined if there is none. */
export function refusedCharacter(text: string): string | undefined {
  return characterIn(text, REFUSED);
}

/** Whether `quoted` accepts a text. */
export function isQuotable(text: string): boolean {
  return refusedCharacter(text) === undefined;
}

/**
 * Quotes a text as one parameter, which nginx parses to exactly that text. `variables`, such as `/$fidfs_file`, is appended
 * unquoted. Throws an Error if the text contains a character of `REFUSED`.
 */
export function quoted(text: string, variables = ''): string {
  const refused = refusedCharacter(text);
  if (refused !== undefined) {
    throw new Error(
      `nginx cannot be told of ${JSON.stringify(text)}, which holds ${refused}; use a name ${QUOTABLE_WORDS}`,
    );
  }
  return `"${text.replace(/["\\]/g, '\\$&')}${variables}"`;
}

/** Quotes a path for `include`, which treats a path with `*`, `?` or `[` as a glob pattern. Throws like `quoted`. */
export function quotedInclude(path: string): string {
  return quoted(/[*?[]/.test(path) ? path.replace(/[*?[\]\\]/g, '\\$&') : path);
}
