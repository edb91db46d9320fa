import { characterIn } from '../daemon/words.js';

/*
 * The one way in which a value from outside, such as a path of the settings, gets into nginx's configuration.
 */

/** What nginx takes no value with: control characters, and the sign that begins a variable, which cannot be escaped. */
const REFUSED = /[\u0000-\u001f\u007f$]/;

/** The same in words, for messages. */
export const QUOTABLE_WORDS = 'without control characters and $';

/** The first character that nginx takes no value with, for messages; undefined when there is none. */
export function refusedCharacter(text: string): string | undefined {
  return characterIn(text, REFUSED);
}

/** Whether `quoted` takes a text. */
export function isQuotable(text: string): boolean {
  return refusedCharacter(text) === undefined;
}

/**
 * A text as one quoted parameter, which nginx reads as exactly that text whatever it holds. Throws for what cannot be
 * written so. `variables` is appended as it is: nginx's own variables, such as `/$fidfs_file`.
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

/** A path for `include`, which takes one with `*`, `?` or `[` for a pattern, and would include nothing. */
export function quotedInclude(path: string): string {
  return quoted(/[*?[]/.test(path) ? path.replace(/[*?[\]\\]/g, '\\$&') : path);
}
