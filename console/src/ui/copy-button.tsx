import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { texts } from '../i18n';
import { announce } from './announce';
import { Icon } from './icons';

const SHOWN_MILLISECONDS = 2000;

/** Copies a text to the clipboard; resolves with false if the browser does not permit it. */
async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text); // navigator.clipboard does not exist on pages without TLS
  }
}

function copyBySelection(text: string): boolean {
  const field = document.createElement('textarea');
  field.value = text;
  field.className = 'unseen';
  // While a modal dialog is open, nothing outside it can be selected.
  const before = document.activeElement;
  (before?.closest('dialog') ?? document.body).append(field);
  field.select();
  const done = document.execCommand('copy');
  field.remove();
  if (before instanceof HTMLElement) before.focus();
  return done;
}

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
