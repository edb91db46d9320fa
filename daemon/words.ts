/*
 * Texts for people, wherever they are read: the command, the log, answers.
 */

/** A number with what is counted: `1 file`, `2 files`. */
export function counted(number: number, one: string, several = `${one}s`): string {
  return `${number} ${number === 1 ? one : several}`;
}

/** The first character of a text that a pattern finds, as it is shown to people; undefined when there is none. */
export function characterIn(text: string, pattern: RegExp): string | undefined {
  const character = pattern.exec(text)?.[0];
  if (character === undefined) return undefined;
  const isShown = /^[\p{L}\p{N}\p{P}\p{S} ]$/u.test(character);
  const code = (character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0');
  return isShown ? `"${character}"` : `U+${code}`;
}

/** A text as a sentence: with a full stop, unless it ends already. */
export function sentence(text: string): string {
  return /[.?!]$/.test(text) ? text : `${text}.`;
}
