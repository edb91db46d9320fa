import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { texts } from '../i18n';
import { announce } from './announce';
import { copy } from './copy';
import { Icon } from './icons';

const SHOWN_MILLISECONDS = 2000;

export function CopyButton({ text, label, of }: { text: string; label: string; of: string }): JSX.Element {
  const isCopied = useSignal(false);
  const press = async () => {
    isCopied.value = await copy(text);
    announce(isCopied.value ? texts.value.copy.copied : texts.value.copy.failed);
    setTimeout(() => {
      isCopied.value = false;
    }, SHOWN_MILLISECONDS);
  };
  return (
    <button type="button" class="small" aria-label={texts.value.upload.of(label, of)} onClick={() => void press()}>
      <Icon name={isCopied.value ? 'check' : 'copy'} />
      {isCopied.value ? texts.value.copy.copied : label}
    </button>
  );
}
