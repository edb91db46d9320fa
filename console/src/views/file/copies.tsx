import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { count } from '../../format';
import { asFailure, type Failure } from '../../http/failure';
import { requestJson } from '../../http/request';
import { texts } from '../../i18n';
import { key } from '../../key';
import { EnterKey } from '../../ui/enter-key';
import { FailureNotice } from '../../ui/failure';
import { StateBadge } from '../../ui/state-badge';
import type { NodeState } from '../cluster/state';

/** The response of `console/api/copies`. */
interface CopiesAnswer {
  id: string;
  deleted: boolean;
  nodes: { id: number; group: string; state: NodeState; holds: 'record' | 'disk' | null }[];
}

/** Shows which nodes have a file; requested again when `turn` or the key changes. */
export function Copies({ id, turn }: { id: string; turn: number }): JSX.Element {
  const answer = useSignal<CopiesAnswer | undefined>(undefined);
  const failure = useSignal<Failure | undefined>(undefined);
  const currentKey = key.value;
  useEffect(() => {
    if (currentKey === undefined) return undefined;
    const end = new AbortController();
    requestJson<CopiesAnswer>(`console/api/copies?id=${encodeURIComponent(id)}`, { signal: end.signal }).then(
      (copies) => {
        failure.value = undefined;
        answer.value = copies;
      },
      (error: unknown) => {
        if (!end.signal.aborted) failure.value = asFailure(error);
      },
    );
    return () => end.abort();
  }, [id, turn, currentKey, answer, failure]);
  const text = texts.value.file;
  if (currentKey === undefined) return <KeyNeeded />;
  if (failure.value) return <FailureNotice failure={failure.value} />;
  if (!answer.value) return <p class="hint">{text.looking}</p>;
  return (
    <>
      {answer.value.deleted && <p class="notice">{text.wasDeleted}</p>}
      <ul class="copies">
        {answer.value.nodes.map((node) => (
          <li key={node.id} data-holds={node.holds ?? 'none'}>
            <strong>{texts.value.cluster.node(count(node.id))}</strong>
            <span class="hint">{node.group}</span>
            <StateBadge state={node.state} />
            <span class="holds">{holding(node)}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function holding({ holds, state }: CopiesAnswer['nodes'][number]): string {
  const text = texts.value.file.holds;
  if (holds) return text[holds];
  return state === 'up' ? text.none : text.unasked;
}

function KeyNeeded(): JSX.Element {
  return (
    <>
      <p class="hint">{texts.value.file.copiesNeedKey}</p>
      <div class="buttons">
        <EnterKey kind="small" />
      </div>
    </>
  );
}
