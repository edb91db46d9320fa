import fileId from '../../../file-id/file-id.js';

/** Characters of a line that are looked at; an address with an ID is shorter. */
const LONGEST = 8192;

/** A line of a text. */
export interface Line {
  /** From 1. */
  number: number;
  /** Without its line feed; cut off if it is too long. */
  text: string;
  /** False for the last line of a text that has no line feed at its end. */
  isEnded: boolean;
}

/**
 * Splits UTF-8 into lines. Memory does not grow with the length of a line. A byte order mark is left out.
 * @param longest the number of characters after which a line is cut off
 */
export async function* linesOf(input: AsyncIterable<Buffer>, longest = LONGEST): AsyncGenerator<Line> {
  const decoder = new TextDecoder();
  let number = 0;
  let rest = '';
  for await (const chunk of input) {
    const text = rest + decoder.decode(chunk, { stream: true });
    let from = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', from)) {
      yield { number: ++number, text: text.slice(from, Math.min(end, from + longest)), isEnded: true };
      from = end + 1;
    }
    rest = text.slice(from, from + longest);
  }
  rest += decoder.decode();
  if (rest !== '') yield { number: ++number, text: rest, isEnded: false };
}

/** The end of an address: group and store path may be left out. */
const ADDRESS =
  /(?:^|\/)(?:(?<group>(?!M[0-9A-F]{2}\/)[A-Za-z0-9_-]{1,16})\/)?(?:(?<storePath>M[0-9A-F]{2})\/)?(?<one>[0-9A-F]{2})\/(?<two>[0-9A-F]{2})\/(?<name>[^/]+)$/;

/**
 * The ID in the first column of a line: an ID, a shorter name, or an address that ends with one, whatever its host, path and query.
 * Undefined if there is none.
 * @param group the group of names without one
 */
export function idInLine(line: string, group: string): string | undefined {
  const address = pathOf(firstColumn(line));
  const parts = ADDRESS.exec(address)?.groups;
  if (!parts) return undefined;
  const id = `${parts.group ?? group}/${parts.storePath ?? 'M00'}/${parts.one}/${parts.two}/${parts.name}`;
  try {
    fileId.decode(id);
    return id;
  } catch (error) {
    if (fileId.isFileIdError(error)) return undefined;
    throw error;
  }
}

/** The first of columns with commas, semicolons, tabs or blanks between them, without its quotes. */
export function firstColumn(line: string): string {
  const text = line.trim();
  const quoted = /^(["'])(.*?)\1/.exec(text);
  return (quoted ? quoted[2] : /^[^\s,;]*/.exec(text)?.[0]) ?? '';
}

/** The path of an address, without its query, percent-decoded. */
function pathOf(address: string): string {
  const path = address
    .replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, '')
    .replace(/[?#].*$/s, '')
    .replace(/\/{2,}/g, '/');
  if (!path.includes('%')) return path;
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
