import { type Signal, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { explanation } from '../../format';
import { asFailure, type Failure } from '../../http/failure';
import { request } from '../../http/request';
import { texts } from '../../i18n';
import { Icon } from '../../ui/icons';
import { pathOf } from './id';

/** Whether a file is there; `unclear` while nobody can say, and why. */
export type Presence = { name: 'looking' | 'there' | 'gone' } | { name: 'unclear'; failure: Failure };

const AGAIN_MILLISECONDS = 3000;

/** Asks whether a file is there, again and again while that is unclear. */
export function usePresence(id: string): Signal<Presence> {
  const presence = useSignal<Presence>({ name: 'looking' });
  useEffect(() => {
    const end = new AbortController();
    let timer: number | undefined;
    const ask = async () => {
      const found = await look(id, end.signal);
      if (end.signal.aborted) return;
      // A deletion may have been answered meanwhile.
      if (presence.peek().name !== 'gone') presence.value = found;
      if (found.name === 'unclear') timer = window.setTimeout(() => void ask(), AGAIN_MILLISECONDS);
    };
    void ask();
    return () => {
      end.abort();
      window.clearTimeout(timer);
    };
  }, [id, presence]);
  return presence;
}

async function look(id: string, signal: AbortSignal): Promise<Presence> {
  try {
    await request(pathOf(id), { method: 'HEAD', signal });
    return { name: 'there' };
  } catch (error) {
    const failure = asFailure(error);
    return failure.status === 404 ? { name: 'gone' } : { name: 'unclear', failure };
  }
}

/** Says whether it is there; the one message while that is not known. */
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
  // 503 to a HEAD, which has no words of its own, is what nginx answers where a node cannot be asked.
  return presence.failure.status === 503 ? text.isUnclear : explanation(presence.failure);
}
