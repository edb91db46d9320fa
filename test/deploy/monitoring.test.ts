import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { parse } from 'yaml';
import { startCluster } from '../helpers/cluster.js';
import type { TestNode } from '../helpers/node.js';
import { mistakesInQuery, readMetrics } from '../helpers/promql.js';

const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));
const read = (file: string) => readFileSync(join(PROJECT, file), 'utf8');

interface Rule {
  alert: string;
  expr: string;
  annotations: Record<string, string>;
}

interface Panel {
  id: number;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets: { expr: string; legendFormat: string }[];
}

interface Dashboard {
  panels: Panel[];
  templating: { list: { name: string; type: string; definition?: string }[] };
}

const { groups } = parse(read('deploy/prometheus/alerts.yml')) as { groups: [{ rules: Rule[] }] };
const { rules } = groups[0];
const dashboard = JSON.parse(read('deploy/grafana/fidfs.json')) as Dashboard;

/** Replaces Grafana's variables in a query. */
function sent(query: string): string {
  return query.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*');
}

test('every query names metrics and labels that a node of a group has', async (t) => {
  const nodes = await startCluster(t, { groups: ['group1', 'group1', 'group1'] });
  const [first, , third] = nodes as [TestNode, TestNode, TestNode];
  const { id } = await first.upload(Buffer.from('measured'));
  await first.delete(id);
  // Raises an alarm: a store path without its marker takes no files.
  rmSync(join(third.storePath, 'fidfs-store-path'));
  let text = '';
  await third.until(async () => {
    text = String((await first.get('/metrics')).body) + String((await third.get('/metrics')).body);
    return text.includes('fidfs_alarms{');
  }, 'alarmed');
  const metrics = readMetrics(text);
  t.match(text, /^fidfs_store_path_up\{store_path="0"\} 0$/m);
  t.match(text, /^fidfs_ready 0$/m, 'the third node is not ready');
  t.match(text, /^fidfs_ready 1$/m, 'the first one is');

  for (const { alert, expr, annotations } of rules) {
    const labels = Object.values(annotations).flatMap((one) => [...one.matchAll(/\$labels\.(\w+)/g)]);
    t.strictSame(
      mistakesInQuery(
        expr,
        metrics,
        labels.map(([, label]) => label as string),
      ),
      [],
      alert,
    );
    t.strictSame(Object.keys(annotations), ['summary', 'description'], alert);
  }
  for (const { title, targets } of dashboard.panels) {
    t.not(targets.length, 0, title);
    for (const { expr, legendFormat } of targets) {
      const labels = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label as string);
      t.strictSame(mistakesInQuery(sent(expr), metrics, labels), [], title);
      for (const [, name] of expr.matchAll(/\$(?!__)(\w+)/g)) {
        t.ok(
          dashboard.templating.list.some((variable) => variable.name === name),
          `the variable ${name}`,
        );
      }
    }
  }
  for (const { type, definition = '' } of dashboard.templating.list) {
    const [, name = '', label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(definition) ?? [];
    if (type === 'query') t.strictSame(mistakesInQuery(`${name}{${label}!=""}`, metrics), [], definition);
  }

  // The check itself: it finds each kind of mistake.
  t.match(mistakesInQuery('sum(fidfs_files', metrics), [/no PromQL/]);
  t.match(mistakesInQuery('rate(fidfs_file[5m])', metrics), [/no metric fidfs_file/]);
  t.match(mistakesInQuery('fidfs_files{store_path="0"}', metrics), [/no label store_path/]);
  t.match(mistakesInQuery('sum by (pear) (fidfs_peer_up)', metrics), [/no label pear/]);

  // Deprecated metrics are not used.
  const deprecated = [...text.matchAll(/^# HELP (\w+) .*Deprecated/gm)].map(([, name]) => name as string);
  const queries = [
    ...rules.map(({ expr }) => expr),
    ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
  ];
  t.strictSame(
    deprecated.filter((name) => queries.some((query) => query.includes(name))),
    [],
  );
});

test('the panels of the dashboard do not overlap, and the alerts are documented', (t) => {
  const taken = new Set<string>();
  for (const { title, gridPos } of dashboard.panels) {
    t.ok(gridPos.x + gridPos.w <= 24, title);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        if (taken.has(`${x} ${y}`)) t.fail(`${title} lies on another panel`);
        taken.add(`${x} ${y}`);
      }
    }
  }
  t.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
  const documented = [...read('docs/monitoring.md').matchAll(/^\| `(Fidfs\w+)`/gm)].map(([, name]) => name);
  t.strictSame(
    documented,
    rules.map(({ alert }) => alert),
  );
  t.end();
});
