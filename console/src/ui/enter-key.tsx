import type { JSX } from 'preact';
import { texts } from '../i18n';
import { asking } from '../key';
import { Icon } from './icons';

/** The button that opens the dialog for the key. */
export function EnterKey({ kind }: { kind: 'small' | 'primary' }): JSX.Element {
  const ask = () => {
    asking.value = true;
  };
  return (
    <button type="button" class={kind} onClick={ask}>
      {kind === 'primary' && <Icon name="key" />}
      {texts.value.key.missing}
    </button>
  );
}
