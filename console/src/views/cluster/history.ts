import { signal } from '@preact/signals';
import { requestJson } from '../../http/request';
import { key } from '../../key';

/** What a node did in one interval. `slot` is its end, in intervals since 1970. */
interface Sample {
  slot: number;
  uploads: number;
  downloads: number | null;
  errors: number;
  backlog: number;
}

/** The response of `/console/api/history`. */
interface HistoryAnswer {
  /** Seconds. */
  interval: number;
  /** The slot of now. */
  end: number;
  nodes: { id: number; samples: Sample[] }[];
}

export type Figure = Exclude<keyof Sample, 'slot'>;
export const FIGURES: readonly Figure[] = ['uploads', 'downloads', 'errors', 'backlog'];

/** One point of a chart. */
export interface Point {
  /** Milliseconds since 1970. */
  time: number;
  /** The sum of all nodes; undefined where none has a sample. */
  sum: number | undefined;
  /** The value of each node that has one. */
  nodes: { id: number; value: number }[];
}

const POINTS = 360;
const AGAIN_MILLISECONDS = 10_000;

/** Undefined until loaded. */
export const history = signal<HistoryAnswer | undefined>(undefined);

/** The points of a figure in the last hour, oldest first. */
export function pointsOf({ interval, end, nodes }: HistoryAnswer, figure: Figure): Point[] {
  const points = Array.from({ length: POINTS }, (_, place): Point => {
    return { time: (end - POINTS + 1 + place) * interval * 1000, sum: undefined, nodes: [] };
  });
  for (const { id, samples } of nodes) {
    for (const sample of samples) {
      const point = points[sample.slot - end + POINTS - 1];
      const value = sample[figure];
      if (!point || value === null) continue;
      point.sum = (point.sum ?? 0) + value;
      point.nodes.push({ id, value });
    }
  }
  return points;
}

/** Requests the history every ten seconds while the page is visible and there is a key. Returns a function that stops it. */
export function followHistory(): () => void {
  const end = new AbortController();
  const ask = async () => {
    if (document.hidden || key.peek() === undefined) return;
    try {
      history.value = await requestJson<HistoryAnswer>('console/api/history', { signal: end.signal });
    } catch {
      // the report of the cluster says what is wrong
    }
  };
  const timer = window.setInterval(() => void ask(), AGAIN_MILLISECONDS);
  const unsubscribe = key.subscribe(() => void ask());
  document.addEventListener('visibilitychange', () => void ask(), { signal: end.signal });
  return () => {
    unsubscribe();
    window.clearInterval(timer);
    end.abort();
  };
}
