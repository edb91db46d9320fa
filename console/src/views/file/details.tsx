import { useSignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { count, dateTime, size } from '../../format';
import { asFailure, type Failure } from '../../http/failure';
import { request } from '../../http/request';
import { texts } from '../../i18n';
import { CopyButton } from '../../ui/copy-button';
import { FailureNotice } from '../../ui/failure';
import { Icon } from '../../ui/icons';
import { isPicture } from '../../upload/extension';
import { items } from '../../upload/queue';
import type { Information } from '.';
import { Copies } from './copies';
import { Deletion } from './deletion';
import { pathOf } from './id';

type Presence = 'looking' | 'there' | 'gone' | 'unclear';

/** All that is to be said of a file whose ID is one. */
export function Details({ information }: { information: Information }): JSX.Element {
  const { id } = information;
  const text = texts.value.file;
  const presence = useSignal<Presence>('looking');
  const failure = useSignal<Failure | undefined>(undefined);
  /** Counts deletions, after which the nodes are asked again. */
  const deletions = useSignal(0);
  useEffect(() => {
    const end = new AbortController();
    request(pathOf(id), { method: 'HEAD', signal: end.signal }).then(
      () => {
        presence.value = 'there';
      },
      (error: unknown) => {
        if (end.signal.aborted) return;
        failure.value = asFailure(error);
        presence.value = failure.value.status === 404 ? 'gone' : 'unclear';
      },
    );
    return () => end.abort();
  }, [id, presence, failure]);
  return (
    <div class="file">
      <section class="card" aria-labelledby="says-title">
        <h2 id="says-title">{text.says}</h2>
        <Facts information={information} />
      </section>
      <section class="card" aria-labelledby="itself-title">
        <h2 id="itself-title">{text.itself}</h2>
        <PresenceWords presence={presence.value} />
        {presence.value === 'unclear' && failure.value && <FailureNotice failure={failure.value} />}
        {presence.value === 'there' && <Preview id={id} />}
        {presence.value === 'there' && <Download id={id} />}
        <Deletion
          id={id}
          isThere={presence.value !== 'gone'}
          deleted={() => {
            // nginx itself may believe for a second that it is there
            presence.value = 'gone';
            deletions.value++;
          }}
        />
      </section>
      <section class="card wide" aria-labelledby="copies-title">
        <h2 id="copies-title">{text.copies}</h2>
        <Copies id={id} turn={deletions.value} />
      </section>
    </div>
  );
}

function Facts({ information }: { information: Information }): JSX.Element {
  const { id, source, created, size: bytes, crc32, kind, group, storePath } = information;
  const text = texts.value.file;
  return (
    <>
      <dl class="facts">
        <Fact name={text.id}>
          <code>{id}</code>
        </Fact>
        <Fact name={text.created}>
          <time dateTime={created}>{dateTime(created)}</time>
        </Fact>
        <Fact name={text.source}>{'ip' in source ? source.ip : text.sourceServer(count(source.serverId))}</Fact>
        <Fact name={text.size}>{bytes === null ? text.untold : `${size(bytes)} (${text.bytes(count(bytes))})`}</Fact>
        <Fact name={text.crc32}>{crc32 === null ? text.untold : <code>{crc32}</code>}</Fact>
        <Fact name={text.kind}>{text.kinds[kind] ?? kind}</Fact>
        <Fact name={text.group}>{group}</Fact>
        <Fact name={text.storePath}>{`M${(storePath + 0x100).toString(16).toUpperCase().slice(1)}`}</Fact>
      </dl>
      <div class="buttons">
        <CopyButton text={id} label={texts.value.copy.id} of={id} />
        <CopyButton text={`${location.origin}/${id}`} label={texts.value.copy.url} of={id} />
      </div>
    </>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function PresenceWords({ presence }: { presence: Presence }): JSX.Element {
  const text = texts.value.file;
  const words = { looking: text.looking, there: text.isThere, gone: text.isGone, unclear: text.isUnclear };
  const icons = { looking: 'retry', there: 'check', gone: 'cross', unclear: 'unknown' } as const;
  return (
    <p class={`presence ${presence}`} role="status">
      <Icon name={icons[presence]} />
      {words[presence]}
    </p>
  );
}

function Preview({ id }: { id: string }): JSX.Element {
  const text = texts.value.file;
  const isBroken = useSignal(false);
  if (!isPicture(id) || isBroken.value) return <p class="hint">{text.noPreview}</p>;
  return (
    <img
      class="preview"
      src={pathOf(id)}
      alt={text.preview}
      onError={() => {
        isBroken.value = true;
      }}
    />
  );
}

function Download({ id }: { id: string }): JSX.Element {
  const text = texts.value.file;
  const uploaded = items.peek().find(({ phase }) => {
    const current = phase.peek();
    return current.name === 'done' && current.stored.id === id;
  });
  const name = useSignal(uploaded?.description.name ?? id.slice(id.lastIndexOf('/') + 1));
  const query = name.value.trim() === '' ? '' : `?download=${encodeURIComponent(name.value.trim())}`;
  return (
    <div class="question">
      <label class="field">
        {text.downloadName}
        <input
          type="text"
          value={name.value}
          spellcheck={false}
          autocomplete="off"
          onInput={({ currentTarget }) => {
            name.value = currentTarget.value;
          }}
        />
      </label>
      <a class="button primary" href={`${pathOf(id)}${query}`} download={name.value}>
        <Icon name="download" />
        {text.download}
      </a>
    </div>
  );
}
