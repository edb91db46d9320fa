import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { type Filter, filter, NO_FILTER, restart } from '../../files/list';
import { texts } from '../../i18n';
import { key } from '../../key';
import { groups } from '../../links';

/** The choice of group, extension and time. */
export function FilterForm(): JSX.Element {
  const form = useRef<HTMLFormElement>(null);
  const text = texts.value.files;
  const { group, ext, from, to } = filter.value;
  const names = (groups.value?.groups ?? []).map(({ name }) => name).sort();
  const apply = (next: Filter) => {
    filter.value = next;
    restart(key.peek());
  };
  const submit = (event: Event) => {
    event.preventDefault();
    if (form.current) apply(read(new FormData(form.current)));
  };
  const isFiltered = [group, ext, from, to].some((value) => value !== '');
  return (
    <form ref={form} class="files-filter" aria-label={text.filter} onSubmit={submit} onChange={submit}>
      {(names.length > 1 || group !== '') && (
        <label class="field">
          {text.group}
          <select name="group">
            <option value="" selected={group === ''}>
              {text.allGroups}
            </option>
            {names.map((name) => (
              <option key={name} value={name} selected={name === group}>
                {name}
              </option>
            ))}
          </select>
        </label>
      )}
      <label class="field">
        {text.ext}
        <input
          name="ext"
          type="text"
          value={ext}
          placeholder={text.extExample}
          maxLength={7}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
        />
      </label>
      <label class="field">
        {text.from}
        <input name="from" type="date" value={from} max={to || undefined} />
      </label>
      <label class="field">
        {text.to}
        <input name="to" type="date" value={to} min={from || undefined} />
      </label>
      <div class="buttons">
        <button type="submit">{text.apply}</button>
        <button type="button" disabled={!isFiltered} onClick={() => apply(NO_FILTER)}>
          {text.all}
        </button>
      </div>
    </form>
  );
}

function read(form: FormData): Filter {
  const of = (name: string) => String(form.get(name) ?? '').trim();
  return { group: of('group'), ext: of('ext').replace(/^\./, ''), from: of('from'), to: of('to') };
}
