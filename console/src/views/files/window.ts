import { type Signal, useSignal } from '@preact/signals';
import type { RefObject } from 'preact';
import { useLayoutEffect } from 'preact/hooks';
import { scrolledTo } from './scrolled';

/** The least width of a tile, its height and the space between tiles, in pixels, as in files.css. */
const LEAST_WIDTH = 150;
export const TILE_HEIGHT = 210;
export const GAP = 12;
export const ROW_HEIGHT = TILE_HEIGHT + GAP;
/** Rows above and below the visible ones that are in the document, too. */
const MORE_ROWS = 2;

/** What of a grid of tiles is in the document. */
export interface GridWindow {
  columns: number;
  /** Width of a tile in pixels. */
  width: number;
  /** The first row, and the one after the last. */
  first: number;
  end: number;
  /** Number of rows that are visible as a whole. */
  page: number;
}

/** The part of a grid that the window of the browser shows, while it is scrolled and its size changes. */
export function useGridWindow(box: RefObject<HTMLElement | null>): Signal<GridWindow> {
  const shown = useSignal<GridWindow>({ columns: 1, width: LEAST_WIDTH, first: 0, end: 1, page: 1 });
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const measure = () => {
      const { top, width: all } = element.getBoundingClientRect();
      const columns = Math.max(1, Math.floor((all + GAP) / (LEAST_WIDTH + GAP)));
      const width = (all - GAP * (columns - 1)) / columns;
      const first = Math.max(0, Math.floor(-top / ROW_HEIGHT) - MORE_ROWS);
      const end = Math.max(first + 1, Math.ceil((window.innerHeight - top) / ROW_HEIGHT) + MORE_ROWS);
      const page = Math.max(1, Math.floor(window.innerHeight / ROW_HEIGHT) - 1);
      const next = { columns, width, first, end, page };
      if (JSON.stringify(next) !== JSON.stringify(shown.peek())) shown.value = next;
    };
    const scrolled = () => {
      scrolledTo.value = window.scrollY;
      measure();
    };
    const size = new ResizeObserver(measure);
    size.observe(element);
    const end = new AbortController();
    window.addEventListener('scroll', scrolled, { passive: true, signal: end.signal });
    window.addEventListener('resize', measure, { signal: end.signal });
    measure();
    return () => {
      size.disconnect();
      end.abort();
    };
  }, [box, shown]);
  return shown;
}
