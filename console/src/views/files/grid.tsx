import { useComputed } from '@preact/signals';
import type { JSX, TargetedKeyboardEvent, TargetedMouseEvent } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { active, chooseAll, chooseNone, chooseOnly, chooseTo, chosen, moveTo, toggle } from '../../files/chosen';
import { files, isMore, more } from '../../files/list';
import { count } from '../../format';
import { texts } from '../../i18n';
import { fileRoute } from '../../route';
import { announce } from '../../ui/announce';
import { askToDelete, focusWanted } from './asking';
import { Tile } from './tile';
import { GAP, ROW_HEIGHT, TILE_HEIGHT, useGridWindow } from './window';

/** Rows below the visible ones with which the next page is fetched. */
const ROWS_AHEAD = 6;

/**
 * The files as a list box of tiles. Only those that are visible are in the document, and the one that the keyboard acts on, so that it
 * keeps the focus.
 */
export function Grid(): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const shown = useGridWindow(box);
  const { columns, width, first, end, page } = shown.value;
  const all = files.value;
  const rows = Math.ceil(all.length / columns);
  useEffect(() => {
    if (end + ROWS_AHEAD >= rows) void more();
  }, [end, rows]);
  const focused = active.value;
  const isMoved = useRef(false);
  const wanted = focusWanted.value;
  const givenFor = useRef(wanted);
  useLayoutEffect(() => {
    // The tile that had the focus may be out of the document by now.
    if (!isMoved.current && givenFor.current === wanted) return;
    isMoved.current = false;
    givenFor.current = wanted;
    const tile = box.current?.querySelector<HTMLElement>(`[data-index="${focused}"]`);
    tile?.focus({ preventScroll: true });
    tile?.scrollIntoView({ block: 'nearest' });
  }, [focused, wanted]);
  const indexes = useComputed(() => indexesIn(shown.value, files.value.length, active.value));
  const place = (index: number) => ({
    width: `${width}px`,
    height: `${TILE_HEIGHT}px`,
    transform: `translate(${(index % columns) * (width + GAP)}px, ${Math.floor(index / columns) * ROW_HEIGHT}px)`,
  });
  return (
    <>
      <p id="files-how" class="unseen">
        {texts.value.files.listHow}
      </p>
      <div
        ref={box}
        class="files-grid"
        role="listbox"
        aria-multiselectable="true"
        aria-label={texts.value.files.list}
        aria-describedby="files-how"
        style={{ height: `${Math.max(0, rows * ROW_HEIGHT - GAP)}px` }}
        data-first={first}
        onKeyDown={(event) => {
          const before = active.peek();
          pressed(event, columns, page);
          isMoved.current = active.peek() !== before;
        }}
        onFocusIn={(event) => {
          if (indexOf(event) >= 0) moveTo(indexOf(event));
        }}
        onClick={clicked}
        onDblClick={(event) => openFile(indexOf(event))}
      >
        {indexes.value.map((index) => {
          const file = all[index];
          if (!file) return null;
          return (
            <Tile
              key={file.id}
              file={file}
              index={index}
              of={isMore.value ? -1 : all.length}
              isChosen={chosen.value.has(file.id)}
              isActive={index === focused}
              place={place(index)}
            />
          );
        })}
      </div>
    </>
  );
}

function indexesIn(
  { columns, first, end }: { columns: number; first: number; end: number },
  length: number,
  kept: number,
) {
  const [from, to] = [first * columns, Math.min(end * columns, length)];
  const indexes = Array.from({ length: Math.max(0, to - from) }, (_, place) => from + place);
  if (kept < from) indexes.unshift(kept);
  else if (kept >= Math.max(to, from)) indexes.push(kept);
  return indexes;
}

function openFile(index: number): void {
  const id = files.peek()[index]?.id;
  if (id !== undefined) location.hash = fileRoute(id);
}

function indexOf({ target }: Event): number {
  const tile = target instanceof Element ? target.closest<HTMLElement>('[data-index]') : null;
  return Number(tile?.dataset.index ?? -1);
}

function clicked(event: TargetedMouseEvent<HTMLElement>): void {
  const index = indexOf(event);
  if (index < 0) return;
  const isTouch = 'pointerType' in event && event.pointerType === 'touch';
  const isMark = event.target instanceof Element && event.target.closest('.tile-mark') !== null;
  if (event.shiftKey) chooseTo(index);
  else if (event.ctrlKey || event.metaKey || isTouch || isMark) toggle(index);
  else chooseOnly(index);
}

function pressed(event: TargetedKeyboardEvent<HTMLElement>, columns: number, page: number): void {
  const isControl = event.ctrlKey || event.metaKey;
  if (event.altKey) return;
  const at = active.peek();
  const last = files.peek().length - 1;
  const moves: Record<string, number> = {
    ArrowLeft: at - 1,
    ArrowRight: at + 1,
    ArrowUp: at - columns >= 0 ? at - columns : at,
    ArrowDown: at + columns <= last ? at + columns : at,
    PageUp: at - page * columns >= 0 ? at - page * columns : at % columns,
    PageDown: Math.min(last, at + page * columns),
    Home: 0,
    End: last,
  };
  const to = moves[event.key];
  if (to !== undefined) {
    if (event.shiftKey) chooseTo(to);
    else moveTo(to);
  } else if (event.key === ' ') {
    if (event.shiftKey) chooseTo(at);
    else toggle(at);
  } else if (isControl && event.key.toLowerCase() === 'a') {
    chooseAll();
    announce(texts.peek().files.chosen(count(chosen.peek().size)));
  } else if (event.key === 'Escape') {
    chooseNone();
    announce(texts.peek().files.noneChosen);
  } else if (event.key === 'Enter') openFile(at);
  else if (event.key === 'Delete' && chosen.peek().size > 0) askToDelete.value = true;
  else return;
  event.preventDefault();
}
