import type { JSX } from 'preact';
import { chooseNone, chosen, chosenFiles } from '../../files/chosen';
import { count } from '../../format';
import { texts } from '../../i18n';
import { fileRoute } from '../../route';
import { Icon } from '../../ui/icons';
import { askToDelete } from './asking';
import { CopyLinks } from './copy-links';
import { DeletionNotice, DeletionQuestion, useDeletion } from './deletion';

/** How many files are chosen, and what can be done with them. */
export function ChosenBar(): JSX.Element {
  const text = texts.value.files;
  const number = chosen.value.size;
  const deletion = useDeletion();
  const isBusy = deletion.progress.value !== undefined;
  const [only] = chosenFiles.value;
  return (
    <>
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset is named by a visible legend */}
      <div class="files-bar" role="group" aria-label={text.bar}>
        <p class="files-chosen figures">{number === 0 ? text.noneChosen : text.chosen(count(number))}</p>
        <CopyLinks />
        <div class="buttons">
          {number === 1 && only && (
            <a class="button small" href={fileRoute(only.id)}>
              {text.open}
            </a>
          )}
          <button type="button" class="small" disabled={number === 0} onClick={chooseNone}>
            {text.clear}
          </button>
          <button
            type="button"
            class="small danger"
            disabled={number === 0 || isBusy}
            onClick={() => {
              askToDelete.value = true;
            }}
          >
            <Icon name="trash" />
            {text.remove}
          </button>
        </div>
      </div>
      <DeletionNotice deletion={deletion} />
      {askToDelete.value && number > 0 && !isBusy && <DeletionQuestion number={number} deletion={deletion} />}
    </>
  );
}
