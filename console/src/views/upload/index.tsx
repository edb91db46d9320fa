import type { JSX } from 'preact';
import { texts } from '../../i18n';
import { key } from '../../key';
import { serverSettings } from '../../settings';
import { EnterKey } from '../../ui/enter-key';
import { Icon } from '../../ui/icons';
import { items, listTotals } from '../../upload/queue';
import { DropArea } from './drop-area';
import { Row } from './row';
import { Summary } from './summary';
import { take } from './take';

export function UploadView(): JSX.Element {
  const text = texts.value.upload;
  return (
    <>
      <h1>{text.title}</h1>
      {serverSettings.value?.uploads === 'key' && key.value === undefined && <KeyNeeded />}
      <DropArea isSmall={items.value.length > 0} take={(chosen) => void take(chosen)} />
      <section aria-labelledby="list-title">
        <h2 id="list-title" class="unseen">
          {text.list}
        </h2>
        {items.value.length === 0 ? <Empty /> : <Summary totals={listTotals.value} />}
        <List />
      </section>
    </>
  );
}

/** A component of its own, so that a change of the sums does not render all rows. */
function List(): JSX.Element {
  return (
    <ul class="rows" aria-label={texts.value.upload.list}>
      {items.value.map((item) => (
        <Row key={item.key} item={item} />
      ))}
    </ul>
  );
}

function KeyNeeded(): JSX.Element {
  return (
    <p class="notice">
      <Icon name="key" />
      <span>{texts.value.upload.needsKey}</span>
      <EnterKey kind="small" />
    </p>
  );
}

function Empty(): JSX.Element {
  return (
    <div class="empty">
      <p>{texts.value.upload.empty}</p>
      <p class="hint">{texts.value.upload.emptyWhy}</p>
    </div>
  );
}
