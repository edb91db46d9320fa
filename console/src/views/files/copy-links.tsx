import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { chosenFiles } from '../../files/chosen';
import { FORMS, type Form, linkText } from '../../files/forms';
import { count, duration } from '../../format';
import { asFailure, type Failure } from '../../http/failure';
import { texts } from '../../i18n';
import { linkQueries, needsLink } from '../../links';
import { publicAddressOf } from '../../settings';
import { announce } from '../../ui/announce';
import { copy } from '../../ui/copy';
import { FailureNotice } from '../../ui/failure';
import { Icon } from '../../ui/icons';

/** How long signed links are valid, in seconds; 0 for links without a signature. */
const TIMES = [3600, 86_400, 7 * 86_400, 30 * 86_400, 365 * 86_400, 0];
const SHOWN_MILLISECONDS = 2000;

/** Copies links to the chosen files. */
export function CopyLinks(): JSX.Element {
  const text = texts.value.files;
  const form = useSignal<Form>('plain');
  const seconds = useSignal(86_400);
  const copied = useSignal(0);
  const failure = useSignal<Failure | undefined>(undefined);
  const files = chosenFiles.value;
  const isPrivate = files.some(({ id }) => needsLink(id));
  const press = async () => {
    failure.value = undefined;
    try {
      const ids = seconds.value === 0 ? [] : files.map(({ id }) => id).filter(needsLink);
      const queries = await linkQueries(ids, { seconds: seconds.value });
      const lines = files.map((file) =>
        linkText(file, publicAddressOf(file.id) + (queries.get(file.id) ?? ''), form.value),
      );
      const isDone = await copy(lines.join('\n'));
      announce(isDone ? text.copied(count(files.length)) : texts.peek().copy.failed);
      copied.value = isDone ? files.length : 0;
      setTimeout(() => {
        copied.value = 0;
      }, SHOWN_MILLISECONDS);
    } catch (error) {
      failure.value = asFailure(error);
    }
  };
  return (
    <>
      <label class="files-choice">
        {text.form}
        <select
          value={form.value}
          onChange={({ currentTarget }) => {
            form.value = FORMS.find((one) => one === currentTarget.value) ?? 'plain';
          }}
        >
          {FORMS.map((one) => (
            <option key={one} value={one} selected={one === form.value}>
              {text.forms[one]}
            </option>
          ))}
        </select>
      </label>
      {isPrivate && (
        <label class="files-choice">
          {text.validFor}
          <select
            value={seconds.value}
            onChange={({ currentTarget }) => {
              seconds.value = Number(currentTarget.value);
            }}
          >
            {TIMES.map((one) => (
              <option key={one} value={one} selected={one === seconds.value}>
                {one === 0 ? text.unsigned : duration(one)}
              </option>
            ))}
          </select>
        </label>
      )}
      <button type="button" class="small" disabled={files.length === 0} onClick={() => void press()}>
        <Icon name={copied.value > 0 ? 'check' : 'copy'} />
        {copied.value > 0 ? text.copied(count(copied.value)) : text.copyLinks}
      </button>
      {failure.value && <FailureNotice failure={failure.value} />}
    </>
  );
}
