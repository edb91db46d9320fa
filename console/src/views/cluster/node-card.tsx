import type { ComponentChildren, JSX } from 'preact';
import { byteRate, count, dateTime, duration, percent, rate, size } from '../../format';
import { texts } from '../../i18n';
import { Icon } from '../../ui/icons';
import { StateBadge } from '../../ui/state-badge';
import type { NodeReport, Rates } from './state';

interface Properties {
  node: NodeReport;
  isSelf: boolean;
  /** Undefined if not known, for example for a node that is down. */
  rates: Rates | undefined;
}

/** Placeholder for an unknown figure. */
export const UNKNOWN = '–';

/** State and figures of one node. */
export function NodeCard({ node, isSelf, rates }: Properties): JSX.Element {
  const text = texts.value.cluster;
  const isKnown = node.files !== null;
  return (
    <li class={`card node ${node.state}`} data-node={node.id} data-state={node.state}>
      <div class="node-head">
        <h3>
          {text.node(count(node.id))} {isSelf && <span class="hint">{text.self}</span>}
        </h3>
        <StateBadge state={node.state} />
      </div>
      {node.state !== 'up' && (
        <div class="hint">
          {node.reason && <p lang="en">{node.reason}</p>}
          {node.since && <p>{text.since(dateTime(node.since))}</p>}
          <p>{isKnown ? text.lastKnown : text.never}</p>
        </div>
      )}
      <Warnings node={node} />
      {isKnown && <Space node={node} />}
      {isKnown && <Figures node={node} rates={rates} />}
    </li>
  );
}

function Warnings({ node }: { node: NodeReport }): JSX.Element {
  const text = texts.value.cluster;
  return (
    <>
      {node.trouble && (
        <p class="notice bad">
          <Icon name="warning" />
          <span>
            <strong>{text.trouble}</strong> <span lang="en">{node.trouble}</span>
          </span>
        </p>
      )}
      {node.alarms.map((alarm) => (
        <p class="notice bad" key={alarm}>
          <Icon name="warning" />
          <span lang="en">{alarm}</span>
        </p>
      ))}
    </>
  );
}

function Space({ node }: { node: NodeReport }): JSX.Element | null {
  const text = texts.value.cluster;
  const { capacity, available } = node;
  if (capacity === null || available === null || capacity === 0) return null;
  const used = capacity - available;
  return (
    <div class="space">
      <progress
        class={used / capacity > 0.9 ? 'full' : ''}
        max={capacity}
        value={used}
        aria-label={text.space(text.node(count(node.id)))}
      />
      <p class="hint figures">{text.free(size(available), size(capacity))}</p>
    </div>
  );
}

function Figures({ node, rates }: { node: NodeReport; rates: Rates | undefined }): JSX.Element {
  const text = texts.value.cluster;
  const { bytes, saved, missing, setAside, foreign, oldestScrub } = node;
  const share = bytes ? ` (${percent((saved ?? 0) / bytes)})` : '';
  const behind = node.behind.filter(({ entries }) => entries > 0);
  return (
    <dl class="figures node-figures">
      <Figure name={text.files}>{count(node.files ?? 0)}</Figure>
      <Figure name={text.storedBefore}>{size(bytes ?? 0)}</Figure>
      <Figure name={text.saved}>
        {size(saved ?? 0)}
        {share}
      </Figure>
      <Figure name={text.upRate}>{rates ? `${rate(rates.uploads)}, ${byteRate(rates.uploadedBytes)}` : UNKNOWN}</Figure>
      <Figure name={text.downRate}>{rates && node.downloads !== null ? rate(rates.downloads) : UNKNOWN}</Figure>
      <Figure name={text.behind} isBad={behind.length > 0}>
        {behind.length === 0
          ? text.behindNone
          : behind.map(({ peer, entries, seconds }) => (
              <span key={peer}>{text.behindEntry(count(entries), count(peer), duration(seconds))}</span>
            ))}
      </Figure>
      <Figure name={text.missing} isBad={(missing ?? 0) + (setAside ?? 0) > 0}>
        {count(missing ?? 0)}
        {setAside ? `, ${text.setAside(count(setAside))}` : ''}
      </Figure>
      {foreign ? (
        <Figure name={text.foreign} isBad>
          {text.adopt(count(foreign))}
        </Figure>
      ) : null}
      <Figure name={text.scrub}>
        {oldestScrub === null ? text.scrubNone : text.ago(duration(Math.max(0, Date.now() / 1000 - oldestScrub)))}
      </Figure>
      {node.version && <Figure name={text.version}>{node.version}</Figure>}
    </dl>
  );
}

interface FigureProperties {
  name: string;
  isBad?: boolean;
  children: ComponentChildren;
}

function Figure({ name, isBad = false, children }: FigureProperties): JSX.Element {
  return (
    <div class={isBad ? 'bad' : ''}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
