import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { asFailure, Failure } from '../../http/failure';
import { requestJson } from '../../http/request';
import { texts } from '../../i18n';
import { idIn, isPathSafe, pathOf } from '../../id';
import { key } from '../../key';
import { linkQueries, loadGroups, needsLink } from '../../links';
import { fileRoute } from '../../route';
import { FailureNotice } from '../../ui/failure';
import { Details } from './details';
import type { Information } from './information';

/** The view of one file; its state is reset for each ID. */
export function FileView({ id }: { id: string }): JSX.Element {
  const information = useSignal<Information | undefined>(undefined);
  const query = useSignal('');
  const failure = useSignal<Failure | undefined>(undefined);
  const used = key.value;
  useEffect(() => {
    if (id === '') return undefined;
    if (!isPathSafe(id)) {
      failure.value = new Failure('bad-id', 400, '');
      return undefined;
    }
    const end = new AbortController();
    inform(id, used !== undefined, end.signal).then(
      (answer) => {
        failure.value = undefined;
        query.value = answer.query;
        information.value = answer.information;
      },
      (error: unknown) => {
        if (!end.signal.aborted) failure.value = asFailure(error);
      },
    );
    return () => end.abort();
  }, [id, used, information, query, failure]);
  return (
    <>
      <h1>{texts.value.file.title}</h1>
      <Question id={id} />
      {id === '' && <p class="empty">{texts.value.file.empty}</p>}
      {failure.value && <FailureNotice failure={failure.value} />}
      {information.value && <Details information={information.value} query={query.value} />}
    </>
  );
}

/** How long the links of this view are valid, in seconds. */
const SECONDS = 3600;

/** Asks what an ID contains, by a link if the file is private. Throws a Failure. */
async function inform(id: string, hasKey: boolean, signal: AbortSignal) {
  const ask = async (query: string) => {
    const information = await requestJson<Information>(`info/${pathOf(id)}${query}`, { signal });
    return { information, query };
  };
  const sign = async () => (await linkQueries([id], { seconds: SECONDS })).get(id) ?? '';
  await loadGroups();
  // Without the right to links, the refusal of the request itself says what is missing.
  if (needsLink(id)) return ask(await sign().catch(() => ''));
  try {
    return await ask('');
  } catch (error) {
    if (!hasKey || asFailure(error).problem !== 'not-signed') throw error;
    return ask(await sign().catch(() => ''));
  }
}

function Question({ id }: { id: string }): JSX.Element {
  const text = texts.value.file;
  const field = useRef<HTMLInputElement>(null);
  const submit = (event: Event) => {
    event.preventDefault();
    const asked = idIn(field.current?.value ?? '');
    if (asked !== '') location.hash = fileRoute(asked);
  };
  return (
    <form class="question" onSubmit={submit}>
      <label class="field">
        {text.field}
        <input
          ref={field}
          type="text"
          defaultValue={id}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          required
          aria-describedby="id-hint"
        />
      </label>
      <button type="submit" class="primary">
        {text.show}
      </button>
      <p class="hint" id="id-hint">
        {text.hint}
      </p>
    </form>
  );
}
