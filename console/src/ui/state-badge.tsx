import type { JSX } from 'preact';
import { texts } from '../i18n';
import type { NodeState } from '../views/cluster/state';
import { Icon } from './icons';

/** The state of a node as text, icon and colour. */
export function StateBadge({ state }: { state: NodeState }): JSX.Element {
  const icons = { up: 'check', down: 'cross', wrong: 'warning', unknown: 'unknown' } as const;
  return (
    <span class={`badge ${state}`}>
      <Icon name={icons[state]} />
      {texts.value.cluster.states[state]}
    </span>
  );
}
