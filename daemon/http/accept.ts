/** A media range (a type, all types of a group, or all types) and its weight. */
const RANGE = /^\s*([^\s;]+)\s*(?:;.*?\bq\s*=\s*"?([\d.]+))?/i;

/**
 * Whether an Accept header gives `text/plain` a greater weight than JSON (RFC 9110, 12.5.1). The order of the ranges has no
 * meaning; with equal weights the answer is JSON.
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
