import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { count } from '../../format';
import { texts } from '../../i18n';
import { asking, key } from '../../key';
import { serverSettings } from '../../settings';
import { announce } from '../../ui/announce';
import { Icon } from '../../ui/icons';
import { type Chosen, fromDrop, fromPaste } from '../../upload/chosen';
import { add, items, listTotals } from '../../upload/queue';
import { DropArea } from './drop-area';
import { Row } from './row';
import { Summary } from './summary';

async function take(chosen: readonly Chosen[]): Promise<void> {
  const passed = await add(chosen);
  if (passed > 0) announce(texts.peek().upload.passed(count(passed)));
}

async function takeDropped(data: DataTransfer): Promise<void> {
  let unreadable = 0;
  const pieces = fromDrop(data, () => {
    unreadable++;
  });
  for await (const chosen of pieces) await take(chosen);
  if (unreadable > 0) announce(texts.peek().upload.unreadable(count(unreadable)));
}

/** Files that are dropped or pasted anywhere on the page are taken. */
function useWholePage(): void {
  useEffect(() => {
    const end = new AbortController();
    const listen = <E extends Event>(type: string, listener: (event: E) => void, target: EventTarget = document) =>
      target.addEventListener(type, listener as EventListener, { signal: end.signal });
    const over = (is: boolean) => document.documentElement.classList.toggle('dropping', is);
    listen<DragEvent>('dragover', (event) => {
      event.preventDefault();
      over(event.dataTransfer?.types.includes('Files') ?? false);
    });
    listen<DragEvent>('dragleave', ({ relatedTarget }) => {
      if (relatedTarget === null) over(false);
    });
    listen<DragEvent>('drop', (event) => {
      event.preventDefault();
      over(false);
      if (event.dataTransfer) void takeDropped(event.dataTransfer);
    });
    listen<ClipboardEvent>('paste', (event) => {
      const chosen = event.clipboardData ? fromPaste(event.clipboardData) : [];
      if (chosen.length === 0) return;
      event.preventDefault();
      void take(chosen);
    });
    return () => end.abort();
  }, []);
}

export function UploadView(): JSX.Element {
  useWholePage();
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

/** Apart, because its rows must not be compared whenever a sum changes. */
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
      <button
        type="button"
        class="small"
        onClick={() => {
          asking.value = true;
        }}
      >
        {texts.value.key.missing}
      </button>
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
