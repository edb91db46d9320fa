import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { count } from '../../format';
import { asFailure, type Failure } from '../../http/failure';
import { request } from '../../http/request';
import { texts } from '../../i18n';
import { pathOf } from '../../id';
import { asking, key } from '../../key';
import { announce } from '../../ui/announce';
import { Dialog } from '../../ui/dialog';
import { FailureNotice } from '../../ui/failure';
import { Icon } from '../../ui/icons';
import type { Presence } from './presence';

interface Properties {
  id: string;
  /** Deletion needs `there`: not possible while only an unreachable node may have the file. */
  presence: Presence['name'];
  deleted: () => void;
}

/** The body of a 202: the number of nodes that have acknowledged the deletion so far. */
interface Accepted {
  copies: number;
  wanted: number;
}

/** The button that deletes a file, with a confirmation dialog. */
export function Deletion({ id, presence, deleted }: Properties): JSX.Element {
  const text = texts.value.file;
  const isAsking = useSignal(false);
  const result = useSignal<'removed' | 'accepted' | 'removedBefore' | undefined>(undefined);
  const accepted = useSignal<Accepted | undefined>(undefined);
  const failure = useSignal<Failure | undefined>(undefined);
  const words = () => {
    if (accepted.value) return text.accepted(count(accepted.value.copies), count(accepted.value.wanted));
    return result.value === 'removedBefore' ? text.removedBefore : text.removed;
  };
  const close = () => {
    isAsking.value = false;
  };
  const remove = async () => {
    close();
    failure.value = undefined;
    try {
      const answer = await request(pathOf(id), { method: 'DELETE' });
      if (answer.status === 202) accepted.value = (await answer.json()) as Accepted;
      result.value = accepted.value ? 'accepted' : 'removed';
    } catch (error) {
      const reason = asFailure(error);
      if (reason.status === 404) result.value = 'removedBefore';
      else failure.value = reason;
    }
    if (!result.value) return;
    announce(words());
    deleted();
  };
  return (
    <>
      {result.value && (
        <p class="notice" data-result={result.value}>
          {words()}
        </p>
      )}
      {failure.value && <FailureNotice failure={failure.value} />}
      {presence !== 'gone' && !result.value && (
        <div class="buttons">
          <button
            type="button"
            class="danger"
            disabled={presence !== 'there'}
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
