import { useSignal } from '@preact/signals';
import type { JSX, TargetedPointerEvent } from 'preact';
import { useEffect } from 'preact/hooks';
import { count, time } from '../../format';
import { texts } from '../../i18n';
import { FIGURES, type Figure, followHistory, history, type Point, pointsOf } from './history';

/** Size of a chart in the units of its drawing. */
const WIDTH = 360;
const HEIGHT = 60;

/** Charts of the last hour. */
export function Charts(): JSX.Element | null {
  useEffect(followHistory, []);
  const answer = history.value;
  if (!answer) return null;
  return (
    <section aria-labelledby="charts-title">
      <h2 id="charts-title" class="charts-title">
        {texts.value.cluster.lastHour}
      </h2>
      <div class="charts">
        {FIGURES.map((figure) => (
          <Chart key={figure} figure={figure} points={pointsOf(answer, figure)} />
        ))}
      </div>
    </section>
  );
}

/** One figure: its sum over the cluster as a line, and as text; with the pointer on it, the values of each node then. */
function Chart({ figure, points }: { figure: Figure; points: readonly Point[] }): JSX.Element {
  const text = texts.value.cluster;
  const at = useSignal<number | undefined>(undefined);
  const values = points.flatMap(({ sum }) => sum ?? []);
  const most = Math.max(0, ...values);
  const all = values.reduce((sum, value) => sum + value, 0);
  const last = values.at(-1) ?? 0;
  const words = figure === 'backlog' ? text.chartBacklog(count(last), count(most)) : text.chartSum(count(all));
  const place = (event: TargetedPointerEvent<SVGSVGElement>) => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    at.value = Math.min(points.length - 1, Math.max(0, Math.floor(((event.clientX - left) / width) * points.length)));
  };
  const pointed = at.value === undefined ? undefined : points[at.value];
  return (
    <figure class={`chart ${figure}`} data-figure={figure}>
      <figcaption>
        <strong>{text.charts[figure]}</strong> <span class="hint figures">{words}</span>
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={text.chartLabel(text.charts[figure], words)}
        onPointerMove={place}
        onPointerLeave={() => {
          at.value = undefined;
        }}
      >
        <path class="chart-line" d={lineOf(points, most)} />
        {at.value !== undefined && <path class="chart-at" d={`M${xOf(at.value, points.length)} 0V${HEIGHT}`} />}
      </svg>
      <p class="hint figures chart-words" aria-hidden="true">
        {pointed ? wordsOf(pointed) : `${time(points[0]?.time ?? 0)} – ${time(points.at(-1)?.time ?? 0)}`}
      </p>
    </figure>
  );
}

function wordsOf({ time: when, sum, nodes }: Point): string {
  const text = texts.value.cluster;
  if (sum === undefined) return `${time(when)}: –`;
  const each = nodes.length < 2 ? [] : nodes.map(({ id, value }) => `${text.node(count(id))}: ${count(value)}`);
  return [`${time(when)}: ${count(sum)}`, ...each].join(' · ');
}

function xOf(place: number, length: number): number {
  return (place / Math.max(1, length - 1)) * WIDTH;
}

/** A line through the sums, with gaps where there are none. */
function lineOf(points: readonly Point[], most: number): string {
  let isOpen = false;
  const steps = points.map(({ sum }, place) => {
    if (sum === undefined) {
      isOpen = false;
      return '';
    }
    const y = HEIGHT - 2 - (most === 0 ? 0 : (sum / most) * (HEIGHT - 4));
    const step = `${isOpen ? 'L' : 'M'}${xOf(place, points.length).toFixed(1)} ${y.toFixed(1)}`;
    // A sample alone would have no line.
    const more = isOpen ? '' : 'h.1';
    isOpen = true;
    return step + more;
  });
  return steps.join('');
}
