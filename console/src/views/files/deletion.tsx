import { type Signal, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { chosenFiles } from '../../files/chosen';
import { type Deleted, deleteFiles } from '../../files/deletion';
import { files } from '../../files/list';
import { count, explanation } from '../../format';
import { Failure } from '../../http/failure';
import { texts } from '../../i18n';
import { announce } from '../../ui/announce';
import { Dialog } from '../../ui/dialog';
import { FailureNotice } from '../../ui/failure';
import { Icon } from '../../ui/icons';
import { askToDelete, focusWanted } from './asking';

/** The deletion of the chosen files. */
export interface Deletion {
  /** Number of files that are dealt with, of how many; undefined while nothing is deleted. */
  progress: Signal<{ done: number; all: number } | undefined>;
  result: Signal<Deleted | undefined>;
  start(): void;
}

export function useDeletion(): Deletion {
  const progress = useSignal<{ done: number; all: number } | undefined>(undefined);
  const result = useSignal<Deleted | undefined>(undefined);
  const start = async () => {
    askToDelete.value = false;
    const ids = chosenFiles.peek().map(({ id }) => id);
    result.value = undefined;
    progress.value = { done: 0, all: ids.length };
    const deleted = await deleteFiles(ids, (done) => {
      progress.value = { done, all: ids.length };
    });
    progress.value = undefined;
    result.value = deleted;
    announce(wordsOf(deleted));
    // The button that was pressed last is gone, or disabled.
    if (files.peek().length > 0) focusWanted.value++;
    else document.querySelector('main')?.focus();
  };
  return { progress, result, start: () => void start() };
}

/** What became of the files, in one text. */
function wordsOf({ gone, accepted, problems }: Deleted): string {
  const text = texts.peek().files;
  const kept = [...problems.values()].reduce((sum, number) => sum + number, 0);
  const reasons = [...problems].map(([problem, number]) =>
    text.problemCount(explanation(new Failure(problem, 0, '')), count(number)),
  );
  return [
    text.removed(count(gone)),
    ...(accepted > 0 ? [text.accepted(count(accepted))] : []),
    ...(kept > 0 ? [text.kept(count(kept)), ...reasons] : []),
  ].join(' ');
}

/** The progress of a deletion, or its result. */
export function DeletionNotice({ deletion: { progress, result } }: { deletion: Deletion }): JSX.Element | null {
  const text = texts.value.files;
  if (progress.value) {
    const { done, all } = progress.value;
    return (
      <div class="files-progress">
        <progress aria-label={text.remove} max={all} value={done} />
        <p class="hint figures">{text.removing(count(done), count(all))}</p>
      </div>
    );
  }
  if (!result.value) return null;
  const { gone, problems, failure } = result.value;
  return (
    <>
      {(gone > 0 || problems.size > 0) && (
        <p class={problems.size > 0 ? 'notice bad' : 'notice'} data-result="deleted">
          <Icon name={problems.size > 0 ? 'warning' : 'check'} />
          <span>{wordsOf(result.value)}</span>
        </p>
      )}
      {failure && <FailureNotice failure={failure} />}
    </>
  );
}

/** The question before the chosen files are deleted. */
export function DeletionQuestion({ number, deletion }: { number: number; deletion: Deletion }): JSX.Element {
  const { files: text, file } = texts.value;
  const close = () => {
    askToDelete.value = false;
  };
  return (
    <Dialog title={text.question(count(number))} close={close}>
      <p>{text.questionWhy}</p>
      <div class="buttons">
        <button type="button" onClick={close}>
          {file.keep}
        </button>
        <button type="button" class="danger" onClick={deletion.start}>
          {file.confirm}
        </button>
      </div>
    </Dialog>
  );
}
