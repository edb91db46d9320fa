import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { asFailure, type Failure } from '../../http/failure';
import { request } from '../../http/request';
import { texts } from '../../i18n';
import { asking, key } from '../../key';
import { announce } from '../../ui/announce';
import { Dialog } from '../../ui/dialog';
import { FailureNotice } from '../../ui/failure';
import { Icon } from '../../ui/icons';
import { pathOf } from './id';

interface Properties {
  id: string;
  isThere: boolean;
  deleted: () => void;
}

/** Deletes a file, after a question. */
export function Deletion({ id, isThere, deleted }: Properties): JSX.Element {
  const text = texts.value.file;
  const isAsking = useSignal(false);
  const result = useSignal<'removed' | 'removedBefore' | undefined>(undefined);
  const failure = useSignal<Failure | undefined>(undefined);
  const close = () => {
    isAsking.value = false;
  };
  const remove = async () => {
    close();
    failure.value = undefined;
    try {
      await request(pathOf(id), { method: 'DELETE' });
      result.value = 'removed';
    } catch (error) {
      const reason = asFailure(error);
      if (reason.status === 404) result.value = 'removedBefore';
      else failure.value = reason;
    }
    if (!result.value) return;
    announce(text[result.value]);
    deleted();
  };
  return (
    <>
      {result.value && (
        <p class="notice" data-result={result.value}>
          {text[result.value]}
        </p>
      )}
      {failure.value && <FailureNotice failure={failure.value} />}
      {isThere && !result.value && (
        <div class="buttons">
          <button
            type="button"
            class="danger"
            onClick={() => {
              if (key.value === undefined) asking.value = true;
              else isAsking.value = true;
            }}
          >
            <Icon name="trash" />
            {text.remove}
          </button>
        </div>
      )}
      {isAsking.value && (
        <Dialog title={text.question} close={close}>
          <p>{text.questionWhy}</p>
          <p>
            <code>{id}</code>
          </p>
          <div class="buttons">
            <button type="button" onClick={close}>
              {text.keep}
            </button>
            <button type="button" class="danger" onClick={() => void remove()}>
              {text.confirm}
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}
