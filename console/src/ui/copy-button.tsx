import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { explanation } from '../format';
import { asFailure } from '../http/failure';
import { texts } from '../i18n';
import { announce } from './announce';
import { copy } from './copy';
import { Icon } from './icons';

const SHOWN_MILLISECONDS = 2000;

interface Properties {
  /** The text, or a function that gets it. */
  text: string | (() => Promise<string>);
  label: string;
  of: string;
}

export function CopyButton({ text, label, of }: Properties): JSX.Element {
  const isCopied = useSignal(false);
  const press = async () => {
    try {
      isCopied.value = await copy(typeof text === 'string' ? text : await text());
      announce(isCopied.value ? texts.value.copy.copied : texts.value.copy.failed);
    } catch (error) {
      announce(explanation(asFailure(error)));
    }
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
