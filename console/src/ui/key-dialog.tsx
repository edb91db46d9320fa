import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { texts } from '../i18n';
import { asking, forgetKey, key, keyWasRefused, setKey } from '../key';
import { Dialog } from './dialog';
import { Icon } from './icons';

/** The dialog for the upload key; empty unless `asking`. */
export function KeyDialog(): JSX.Element | null {
  const field = useRef<HTMLInputElement>(null);
  if (!asking.value) return null;
  const text = texts.value.key;
  const close = () => {
    asking.value = false;
  };
  const submit = (event: Event) => {
    event.preventDefault();
    const entered = field.current?.value.trim() ?? '';
    if (entered !== '') setKey(entered);
    else field.current?.focus();
  };
  return (
    <Dialog title={text.title} close={close}>
      <form onSubmit={submit}>
        {keyWasRefused.value && (
          <p class="notice bad" role="alert" id="key-refused">
            <Icon name="warning" />
            <span>{text.refused}</span>
          </p>
        )}
        <p>{text.why}</p>
        <label class="field">
          {text.field}
          <input
            ref={field}
            type="password"
            autocomplete="off"
            spellcheck={false}
            required
            aria-invalid={keyWasRefused.value}
            aria-describedby={keyWasRefused.value ? 'key-refused key-kept' : 'key-kept'}
          />
        </label>
        <p class="hint" id="key-kept">
          {text.kept}
        </p>
        <div class="buttons">
          <button type="submit" class="primary">
            {text.save}
          </button>
          {key.value !== undefined && (
            <button
              type="button"
              onClick={() => {
                forgetKey();
                close();
              }}
            >
              {text.forget}
            </button>
          )}
          <button type="button" onClick={close}>
            {text.cancel}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
