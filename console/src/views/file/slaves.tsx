import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { endOf, hasPictures, iconFor, nameOf } from '../../files/kinds';
import { type ListedFile, stemOf } from '../../files/list';
import { size } from '../../format';
import { requestJson } from '../../http/request';
import { texts } from '../../i18n';
import { key } from '../../key';
import { fileRoute } from '../../route';
import { Icon } from '../../ui/icons';
import { Picture } from '../../ui/picture';
import type { Information } from './information';

/** Pages of the list that are read at most, with 1,000 files each: those of the second in which the file was stored. */
const MOST_PAGES = 20;

/** The slaves of a file; nothing if it has none, or without the right to list files. Looked for again when `turn` changes. */
export function Slaves({ information, turn }: { information: Information; turn: number }): JSX.Element | null {
  const slaves = useSignal<readonly ListedFile[]>([]);
  const used = key.value;
  useEffect(() => {
    slaves.value = [];
    if (used === undefined || turn > 0) return undefined;
    const end = new AbortController();
    find(information, end.signal).then(
      (found) => {
        slaves.value = found;
      },
      () => {}, // the list of copies needs the same right, and says what is wrong
    );
    return () => end.abort();
  }, [information, used, turn, slaves]);
  if (slaves.value.length === 0) return null;
  return (
    <section class="card wide" aria-labelledby="slaves-title">
      <h2 id="slaves-title">{texts.value.file.slaves}</h2>
      <ul class="slaves">
        {slaves.value.map(({ id, ext, size: bytes }) => (
          <li key={id}>
            <a href={fileRoute(id)} title={id}>
              <span class="tile-picture">
                {hasPictures(ext) ? (
                  <Picture id={id} class="" alt="">
                    <Icon name={iconFor(ext)} />
                  </Picture>
                ) : (
                  <Icon name={iconFor(ext)} />
                )}
              </span>
              <span class="tile-name">{endOf(nameOf(id))}</span>
              <span class="hint figures">{size(bytes)}</span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Slaves have the time of their master, and its name without the extension at the beginning of theirs. */
async function find({ id, group, created }: Information, signal: AbortSignal): Promise<ListedFile[]> {
  const second = Date.parse(created) / 1000;
  const parameters = new URLSearchParams({ group, from: String(second), to: String(second + 1), limit: '1000' });
  const stem = stemOf(id);
  const found: ListedFile[] = [];
  for (let page = 0; page < MOST_PAGES; page++) {
    const answer = await requestJson<{ files: ListedFile[]; next?: string }>(`files?${parameters}`, { signal });
    found.push(...answer.files.filter((file) => file.kind === 'slave' && file.id !== id && file.id.startsWith(stem)));
    if (answer.next === undefined) break;
    parameters.set('after', answer.next);
  }
  return found;
}
