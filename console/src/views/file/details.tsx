import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { addressOf } from '../../address';
import { extensionIn, hasPictures } from '../../files/kinds';
import { takeOff } from '../../files/list';
import { duration } from '../../format';
import { asFailure, type Failure } from '../../http/failure';
import { texts } from '../../i18n';
import { pathOf } from '../../id';
import { linkQueries, signedAddressOf } from '../../links';
import { publicAddressOf } from '../../settings';
import { CopyButton } from '../../ui/copy-button';
import { FailureNotice } from '../../ui/failure';
import { Icon } from '../../ui/icons';
import { Picture } from '../../ui/picture';
import { isPicture } from '../../upload/extension';
import { items } from '../../upload/queue';
import { Copies } from './copies';
import { Deletion } from './deletion';
import { Facts } from './facts';
import type { Information } from './information';
import { PresenceWords, usePresence } from './presence';
import { Slaves } from './slaves';

interface Properties {
  information: Information;
  /** The query of the links to the file; empty if it needs none. */
  query: string;
}

/** How long a copied link to a private file is valid, in seconds. */
const COPIED_SECONDS = 86_400;

/** The details of a file with a valid ID. */
export function Details({ information, query }: Properties): JSX.Element {
  const { id } = information;
  const text = texts.value.file;
  const presence = usePresence(id, query);
  /** Number of deletions; a change makes `Copies` request again. */
  const deletions = useSignal(0);
  const { name } = presence.value;
  return (
    <div class="file">
      <section class="card" aria-labelledby="itself-title">
        <h2 id="itself-title">{text.itself}</h2>
        <PresenceWords presence={presence.value} />
        {name === 'there' && <Preview id={id} query={query} />}
        {name === 'there' && <Download id={id} query={query} />}
        <div class="buttons">
          {query === '' ? (
            <CopyButton text={publicAddressOf(id)} label={texts.value.copy.url} of={id} />
          ) : (
            <CopyButton
              text={() => signedAddressOf(id, COPIED_SECONDS)}
              label={texts.value.copy.urlFor(duration(COPIED_SECONDS))}
              of={id}
            />
          )}
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
      <Slaves information={information} turn={deletions.value} />
      <section class="card wide" aria-labelledby="copies-title">
        <h2 id="copies-title">{text.copies}</h2>
        <Copies id={id} turn={deletions.value} />
      </section>
    </div>
  );
}

function Preview({ id, query }: { id: string; query: string }): JSX.Element {
  const text = texts.value.file;
  const isBroken = useSignal(false);
  const none = <p class="hint">{text.noPreview}</p>;
  if (!hasPictures(extensionIn(id))) return none;
  const original =
    isPicture(id) && !isBroken.value ? (
      <img
        class="preview"
        src={addressOf(pathOf(id) + query)}
        alt={text.preview}
        onError={() => {
          isBroken.value = true;
        }}
      />
    ) : (
      none
    );
  return (
    <Picture id={id} class="preview" alt={text.preview} otherwise={original} attempts={1}>
      {null}
    </Picture>
  );
}

function Download({ id, query: link }: { id: string; query: string }): JSX.Element {
  const text = texts.value.file;
  const uploaded = items.peek().find(({ phase }) => {
    const current = phase.peek();
    return current.name === 'done' && current.stored.id === id;
  });
  const name = useSignal(uploaded?.description.name ?? id.slice(id.lastIndexOf('/') + 1));
  const wanted = name.value.trim();
  const query = wanted === '' || link !== '' ? link : `?download=${encodeURIComponent(wanted)}`;
  const failure = useSignal<Failure | undefined>(undefined);
  // A signature is for one name.
  const signFirst = async (event: Event) => {
    event.preventDefault();
    failure.value = undefined;
    try {
      const signed = await linkQueries([id], {
        seconds: COPIED_SECONDS,
        ...(wanted === '' ? {} : { download: wanted }),
      });
      const to = document.createElement('a');
      to.href = addressOf(pathOf(id) + (signed.get(id) ?? ''));
      to.download = wanted;
      to.click();
    } catch (error) {
      failure.value = asFailure(error);
    }
  };
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
      <a
        class="button primary"
        href={addressOf(`${pathOf(id)}${query}`)}
        download={name.value}
        onClick={link === '' ? undefined : (event) => void signFirst(event)}
      >
        <Icon name="download" />
        {text.download}
      </a>
      {failure.value && <FailureNotice failure={failure.value} />}
    </div>
  );
}
