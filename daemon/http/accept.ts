/** A media range, as long as it is the type, its group or everything; the weight behind it. */
const RANGE = /^\s*([^\s;]+)\s*(?:;.*?\bq\s*=\s*"?([\d.]+))?/i;

/**
 * Whether a client prefers `text/plain` to JSON (RFC 9110, 12.5.1): gives it the greater weight. The order says nothing; where
 * both weigh as much, JSON is the answer.
 */
export function prefersText(accept: string | undefined): boolean {
  if (accept === undefined || !/text\//i.test(accept)) return false;
  const ranges = accept.split(',').map((range) => {
    const [, name = '', weight = '1'] = RANGE.exec(range) ?? [];
    return { name: name.toLowerCase(), weight: Number(weight) };
  });
  const weightOf = (...names: string[]) => {
    const found = names.map((name) => ranges.find((range) => range.name === name)).find((range) => range !== undefined);
    return found?.weight ?? 0;
  };
  return weightOf('text/plain', 'text/*', '*/*') > weightOf('application/json', 'application/*', '*/*');
}
