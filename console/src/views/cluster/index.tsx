import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { byteRate, count, explanation, percent, rate, size, time } from '../../format';
import { texts } from '../../i18n';
import { key } from '../../key';
import { EnterKey } from '../../ui/enter-key';
import { Icon } from '../../ui/icons';
import { Charts } from './charts';
import { NodeCard, UNKNOWN } from './node-card';
import { type ClusterReport, follow, groupsOf, type Rates, rates, report, trouble } from './state';

export function ClusterView(): JSX.Element {
  useEffect(follow, []);
  const text = texts.value.cluster;
  return (
    <>
      <div class="title-line">
        <h1>{text.title}</h1>
        {key.value !== undefined && report.value && <Freshness report={report.value} />}
      </div>
      <Content />
    </>
  );
}

function Content(): JSX.Element {
  const text = texts.value.cluster;
  if (key.value === undefined) {
    return (
      <div class="empty">
        <p>{text.needsKey}</p>
        <EnterKey kind="primary" />
      </div>
    );
  }
  if (!report.value) {
    return <p class="empty">{trouble.value ? explanation(trouble.value) : text.loading}</p>;
  }
  const groups = groupsOf(report.value);
  return (
    <>
      <Sums report={report.value} />
      <Charts />
      {[...groups].map(([group, nodes]) => (
        <section key={group} class="group" aria-label={text.group(group)}>
          <h2>{group}</h2>
          <ul class="nodes">
            {nodes.map((node) => (
              <NodeCard
                key={node.id}
                node={node}
                isSelf={node.id === report.value?.self}
                rates={rates.value.get(node.id)}
              />
            ))}
          </ul>
        </section>
      ))}
    </>
  );
}

function Freshness({ report }: { report: ClusterReport }): JSX.Element {
  const text = texts.value.cluster;
  const when = time(report.time);
  if (!trouble.value) {
    return (
      <p class="fresh">
        <span class="pulse" aria-hidden="true" />
        {text.live} <span class="hint figures">{text.asOf(when)}</span>
      </p>
    );
  }
  return (
    <p class="notice bad" role="alert">
      <Icon name="warning" />
      <span>{text.stale(when)}</span>
    </p>
  );
}

/**
 * Sums over the cluster. The nodes of a group have the same files, so each group counts as its node with the most files.
 */
function Sums({ report }: { report: ClusterReport }): JSX.Element {
  const text = texts.value.cluster;
  const groups = [...groupsOf(report).values()];
  const most = (of: 'files' | 'bytes' | 'saved') =>
    groups.reduce((sum, nodes) => sum + Math.max(0, ...nodes.map((node) => node[of] ?? 0)), 0);
  const all = [...rates.value.values()];
  const together = (of: keyof Rates, words: (value: number) => string) =>
    all.length === 0 ? UNKNOWN : words(all.reduce((sum, one) => sum + one[of], 0));
  const up = report.nodes.filter(({ state }) => state === 'up').length;
  const isWell = report.nodes.every(({ state, trouble, alarms }) => state === 'up' && !trouble && alarms.length === 0);
  const bytes = most('bytes');
  const saved = most('saved');
  return (
    <dl class="sums">
      <Sum name={text.nodesUp} value={`${count(up)} / ${count(report.nodes.length)}`} kind={isWell ? 'well' : 'bad'}>
        {isWell ? text.allWell : text.attention}
      </Sum>
      <Sum name={text.files} value={count(most('files'))} />
      <Sum name={text.stored} value={size(bytes)}>
        {text.beforeSaving}
      </Sum>
      <Sum name={text.saved} value={size(saved)}>
        {bytes > 0 && text.savedShare(percent(saved / bytes))}
      </Sum>
      <Sum name={text.upRate} value={together('uploads', rate)}>
        {all.length > 0 && together('uploadedBytes', byteRate)}
      </Sum>
      <Sum name={text.downRate} value={together('downloads', rate)} />
    </dl>
  );
}

interface SumProperties {
  name: string;
  value: string;
  kind?: 'well' | 'bad';
  children?: string | false;
}

function Sum({ name, value, kind, children }: SumProperties): JSX.Element {
  return (
    <div class={kind ? `sum ${kind}` : 'sum'}>
      <dt>{name}</dt>
      <dd>
        <span class="sum-value figures">{value}</span>
        {children && <span class="hint figures">{children}</span>}
      </dd>
    </div>
  );
}
