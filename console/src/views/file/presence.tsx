import { type Signal, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { explanation } from '../../format';
import { asFailure, type Failure } from '../../http/failure';
import { request } from '../../http/request';
import { texts } from '../../i18n';
import { pathOf } from '../../id';
import { Icon } from '../../ui/icons';

/** Whether a file exists; `unclear` with the failure while that cannot be determined. */
export type Presence = { name: 'looking' | 'there' | 'gone' } | { name: 'unclear'; failure: Failure };

const AGAIN_MILLISECONDS = 3000;

/** Determines whether a file exists, by the query of its link; repeats the request while that is unclear. */
export function usePresence(id: string, query: string): Signal<Presence> {
  const presence = useSignal<Presence>({ name: 'looking' });
  useEffect(() => {
    const end = new AbortController();
    let timer: number | undefined;
    const ask = async () => {
      const found = await look(pathOf(id) + query, end.signal);
      if (end.signal.aborted) return;
      // The file may have been deleted in the meantime.
      if (presence.peek().name !== 'gone') presence.value = found;
      if (found.name === 'unclear') timer = window.setTimeout(() => void ask(), AGAIN_MILLISECONDS);
    };
    void ask();
    return () => {
      end.abort();
      window.clearTimeout(timer);
    };
  }, [id, query, presence]);
  return presence;
}

async function look(path: string, signal: AbortSignal): Promise<Presence> {
  try {
    await request(path, { method: 'HEAD', signal });
    return { name: 'there' };
  } catch (error) {
    const failure = asFailure(error);
    return failure.status === 404 ? { name: 'gone' } : { name: 'unclear', failure };
  }
}

/** Shows whether the file exists, or the reason why that is unclear. */
export function PresenceWords({ presence }: { presence: Presence }): JSX.Element {
  const icons = { looking: 'retry', there: 'check', gone: 'cross', unclear: 'unknown' } as const;
  return (
    <p class={`presence ${presence.name}`} role="status">
      <Icon name={icons[presence.name]} />
      <span>{wordsOf(presence)}</span>
    </p>
  );
}

function wordsOf(presence: Presence): string {
  const text = texts.value.file;
  if (presence.name !== 'unclear') {
    return { looking: text.looking, there: text.isThere, gone: text.isGone }[presence.name];
  }
  // nginx answers 503 if a node that may have the file is unreachable; the response to HEAD has no problem document.
  return presence.failure.status === 503 ? text.isUnclear : explanation(presence.failure);
}
