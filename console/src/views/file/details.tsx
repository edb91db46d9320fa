import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { addressOf } from '../../address';
import { takeOff } from '../../files/list';
import { texts } from '../../i18n';
import { pathOf } from '../../id';
import { publicAddressOf } from '../../settings';
import { CopyButton } from '../../ui/copy-button';
import { Icon } from '../../ui/icons';
import { isPicture } from '../../upload/extension';
import { items } from '../../upload/queue';
import { Copies } from './copies';
import { Deletion } from './deletion';
import { Facts } from './facts';
import type { Information } from './information';
import { PresenceWords, usePresence } from './presence';

/** The details of a file with a valid ID. */
export function Details({ information }: { information: Information }): JSX.Element {
  const { id } = information;
  const text = texts.value.file;
  const presence = usePresence(id);
  /** Number of deletions; a change makes `Copies` request again. */
  const deletions = useSignal(0);
  const { name } = presence.value;
  return (
    <div class="file">
      <section class="card" aria-labelledby="itself-title">
        <h2 id="itself-title">{text.itself}</h2>
        <PresenceWords presence={presence.value} />
        {name === 'there' && <Preview id={id} />}
        {name === 'there' && <Download id={id} />}
        <div class="buttons">
          <CopyButton text={publicAddressOf(id)} label={texts.value.copy.url} of={id} />
          <CopyButton text={id} label={texts.value.copy.id} of={id} />
        </div>
        <Deletion
          id={id}
          presence={name}
          deleted={() => {
            // nginx may still serve the file for a second from its open_file_cache
            presence.value = { name: 'gone' };
            deletions.value++;
            takeOff([id]);
          }}
        />
      </section>
      <section class="card" aria-labelledby="says-title">
        <h2 id="says-title">{text.says}</h2>
        <Facts information={information} />
      </section>
      <section class="card wide" aria-labelledby="copies-title">
        <h2 id="copies-title">{text.copies}</h2>
        <Copies id={id} turn={deletions.value} />
      </section>
    </div>
  );
}

function Preview({ id }: { id: string }): JSX.Element {
  const text = texts.value.file;
  const isBroken = useSignal(false);
  if (!isPicture(id) || isBroken.value) return <p class="hint">{text.noPreview}</p>;
  return (
    <img
      class="preview"
      src={addressOf(pathOf(id))}
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
      <a class="button primary" href={addressOf(`${pathOf(id)}${query}`)} download={name.value}>
        <Icon name="download" />
        {text.download}
      </a>
    </div>
  );
}
