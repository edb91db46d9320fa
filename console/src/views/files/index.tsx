import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { files, isLoading, isMore, listFailure, more, restart, startOnce } from '../../files/list';
import { count } from '../../format';
import { texts } from '../../i18n';
import { key } from '../../key';
import { linkTrouble, loadGroups } from '../../links';
import { EnterKey } from '../../ui/enter-key';
import { FailureNotice } from '../../ui/failure';
import { Icon } from '../../ui/icons';
import { ChosenBar } from './bar';
import { FilterForm } from './filter';
import { Grid } from './grid';

/** The view of all files. */
export function FilesView(): JSX.Element {
  const text = texts.value.files;
  const used = key.value;
  useEffect(() => {
    void loadGroups();
    startOnce(used);
  }, [used]);
  return (
    <>
      <div class="title-line">
        <h1>{text.title}</h1>
        {used !== undefined && (
          <button type="button" class="small" onClick={() => restart(used)}>
            <Icon name="retry" />
            {text.refresh}
          </button>
        )}
      </div>
      {used === undefined ? (
        <div class="empty">
          <p>{text.needsKey}</p>
          <EnterKey kind="primary" />
        </div>
      ) : (
        <>
          <FilterForm />
          <Content />
        </>
      )}
    </>
  );
}

function Content(): JSX.Element {
  const text = texts.value.files;
  const isEmpty = files.value.length === 0;
  if (isEmpty && !isLoading.value && !listFailure.value && !isMore.value) {
    return (
      <div class="empty">
        <p>{text.empty}</p>
        <p class="hint">{text.emptyWhy}</p>
      </div>
    );
  }
  return (
    <>
      {linkTrouble.value?.problem === 'no-right' && (
        <p class="notice">
          <Icon name="key" />
          <span>{text.noPictures}</span>
        </p>
      )}
      {!isEmpty && <ChosenBar />}
      {!isEmpty && <Grid />}
      <State />
    </>
  );
}

/** How many files are listed, or why no more are. */
function State(): JSX.Element {
  const text = texts.value.files;
  const failure = listFailure.value;
  if (failure?.problem === 'no-right') {
    return (
      <p class="notice bad" role="alert">
        <Icon name="warning" />
        <span>
          {text.noRight} <small lang="en">{failure.detail}</small>
        </span>
      </p>
    );
  }
  if (failure) {
    return (
      <>
        <FailureNotice failure={failure} />
        <div class="buttons">
          <button type="button" onClick={() => void more()}>
            <Icon name="retry" />
            {text.retry}
          </button>
        </div>
      </>
    );
  }
  const known = count(files.value.length);
  return (
    <p class="hint files-state">
      {isLoading.value ? text.loading : isMore.value ? text.loadedMore(known) : text.loaded(known)}
    </p>
  );
}
