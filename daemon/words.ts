/*
 * Helpers for human-readable texts of the command, the log and answers.
 */

/** Formats a count: `1 file`, `2 files`. */
export function counted(number: number, one: string, several = `${one}s`): string {
  return `${number} ${number === 1 ? one : several}`;
}

/**
 * Formats the first character that matches `pattern`: in quotes, or as `U+0009` if it is not printable. Undefined if none
 * matches.
 */
export function characterIn(text: string, pattern: RegExp): string | undefined {
  const character = pattern.exec(text)?.[0];
  if (character === undefined) return undefined;
  const isShown = /^[\p{L}\p{N}\p{P}\p{S} ]$/u.test(character);
  const code = (character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0');
  return isShown ? `"${character}"` : `U+${code}`;
}

/** Adds a full stop unless the text ends with punctuation. */
export function sentence(text: string): string {
  return /[.?!]$/.test(text) ? text : `${text}.`;
}
