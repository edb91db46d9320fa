import { parser } from '@prometheus-io/lezer-promql';

/** Metrics that Prometheus itself adds for each target. */
const OF_PROMETHEUS: ReadonlyMap<string, ReadonlySet<string>> = new Map([['up', new Set<string>()]]);
const LABELS_OF_PROMETHEUS = ['job', 'instance'];

/** The names of metrics in an answer of /metrics, and the labels of each. */
export type MetricLabels = ReadonlyMap<string, ReadonlySet<string>>;

/** Parses Prometheus's text format, of one node or several. */
export function readMetrics(text: string): MetricLabels {
  const metrics = new Map<string, Set<string>>();
  for (const line of text.split('\n')) {
    const [, name, labels = ''] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? /.exec(line) ?? [];
    if (name === undefined) continue;
    const known = metrics.get(name) ?? new Set<string>();
    metrics.set(name, known);
    for (const [, label] of labels.matchAll(/([a-zA-Z_]\w*)="(?:[^"\\]|\\.)*"/g)) known.add(label as string);
  }
  return metrics;
}

/** The mistakes in a query: syntax errors, unknown metrics, and labels that none of its metrics has. */
export function mistakesInQuery(query: string, metrics: MetricLabels, legend: readonly string[] = []): string[] {
  const mistakes: string[] = [];
  const labels = new Set(legend);
  const known = new Set(LABELS_OF_PROMETHEUS);
  parser.parse(query).iterate({
    enter({ name, type, from, to, node }) {
      const text = query.slice(from, to);
      if (type.isError) mistakes.push(`${query}: no PromQL at character ${from}`);
      if (name === 'LabelName') labels.add(text);
      if (name !== 'Identifier' || node.parent?.name !== 'VectorSelector') return;
      const found = metrics.get(text) ?? OF_PROMETHEUS.get(text);
      if (found === undefined) mistakes.push(`${query}: there is no metric ${text}`);
      for (const label of found ?? []) known.add(label);
    },
  });
  for (const label of labels) if (!known.has(label)) mistakes.push(`${query}: there is no label ${label}`);
  return mistakes;
}
