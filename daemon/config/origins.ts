import { list } from './values.js';

/*
 * The settings that name the origins of other web applications (CORS).
 */

const WORDS =
  'origins as browsers send them, such as https://app.example.com or http://127.0.0.1:3000, or "*", or "none"';

/** Stands for an empty list in the environment, where an empty variable counts as absent. */
const NONE = 'none';

/** The longest host that DNS has, its scheme and port included; an origin becomes a regular expression of nginx. */
const LONGEST = 300;

/** Returns an origin that is written as browsers write it: lower case, without a path, and without the port of its scheme. */
function parseAllowedOrigin(text: string): string | undefined {
  if (text === '*' || text === NONE) return text;
  const isPlain = text.length <= LONGEST && /^https?:\/\/[a-z0-9.:[\]_-]+$/.test(text);
  return isPlain && URL.canParse(text) && new URL(text).origin === text ? text : undefined;
}

/** A list of exact origins, or `*` alone; empty for `none`. */
export function origins() {
  return list(parseAllowedOrigin, WORDS)
    .refine(
      (all) => all.length === 1 || !(all.includes('*') || all.includes(NONE)),
      '"*" and "none" stand for every origin and for none; write nothing beside them',
    )
    .transform((all) => all.filter((one) => one !== NONE));
}
