import type { JSX } from 'preact';
import { endOf, hasPictures, iconFor, nameOf } from '../../files/kinds';
import type { ListedFile } from '../../files/list';
import { dateTime, size } from '../../format';
import { Icon } from '../../ui/icons';
import { Picture } from '../../ui/picture';

interface Properties {
  file: ListedFile;
  index: number;
  /** Number of files, or -1 if it is not known. */
  of: number;
  isChosen: boolean;
  isActive: boolean;
  /** Where it is in the grid, as CSS. */
  place: Record<string, string>;
}

/** One file of the grid. */
export function Tile({ file, index, of, isChosen, isActive, place }: Properties): JSX.Element {
  return (
    <div
      class="tile"
      role="option"
      style={place}
      data-index={index}
      aria-selected={isChosen}
      aria-setsize={of}
      aria-posinset={index + 1}
      tabIndex={isActive ? 0 : -1}
    >
      <span class="tile-mark">{isChosen && <Icon name="check" />}</span>
      <span class="tile-picture">
        {hasPictures(file.ext) ? (
          <Picture id={file.id} class="" alt="">
            <Icon name={iconFor(file.ext)} />
          </Picture>
        ) : (
          <Icon name={iconFor(file.ext)} />
        )}
      </span>
      <span class="tile-name" title={file.id}>
        {endOf(nameOf(file.id))}
      </span>
      <span class="tile-facts hint figures">
        {size(file.size)} · <time dateTime={file.created}>{dateTime(file.created)}</time>
      </span>
    </div>
  );
}
