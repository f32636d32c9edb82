import { scaleLinear, scaleLog, scalePoint } from 'd3-scale';
import { line, symbol, symbolsFill } from 'd3-shape';
import type { AxisValue } from '../../model/sweep.ts';
import { html, type Markup } from './markup.ts';
import { duration, short } from './number.ts';
import { figure, fixed, HALF, inPairs, SERIES, shorten, ticks, word } from './svg.ts';
import { runOf, table } from './table.ts';

/** One run on a curve: `run` is its place among those of the section, for filters. */
export interface CurvePoint {
  readonly at: AxisValue;
  /** Added per page, in ns. */
  readonly cost: number;
  readonly safe: boolean;
  readonly run: number;
}

/** The runs of one policy in one plot, from left to right. */
export interface Curve {
  readonly name: string;
  readonly points: readonly CurvePoint[];
}

/** The curves of one plot; `title` says what is the same for all of them, `group` the part that says most. */
export interface Panel {
  readonly title: string;
  readonly group: string;
  readonly curves: readonly Curve[];
}

/** Plots of cost over one axis, a curve for each policy. */
export interface Curves {
  readonly id: string;
  /** Name of the axis, and its values from left to right. */
  readonly axis: string;
  readonly values: readonly AxisValue[];
  readonly policies: readonly string[];
  readonly panels: readonly Panel[];
}

/** Where one policy stops being the cheaper of two: between two values of the axis. */
interface Crossing {
  readonly panel: Panel;
  readonly before: string;
  readonly behind: string;
  readonly from: CurvePoint;
  readonly to: CurvePoint;
  /** Share of the way between the two, on the scale of the axis, and the cost there. */
  readonly share: number;
  readonly cost: number;
}

/** Plots that are drawn; the numbers of all stand in the table. */
export const MOST_PANELS = 12;
const LEFT = 46;
const RIGHT = 18;
const HEAD = 38;
const PLOT = 130;
const FOOT = 34;
/** Of each curve, so that they can be told apart without their hue. */
const DASHES = ['', '7 3', '2 3', '9 3 2 3', '4 4', '12 3', '1 4', '6 2 1 2 1 2'] as const;

/** Curves, rings where two of them cross, the numbers, and a table of the crossings. */
export function curves({ id, axis, values, policies, panels }: Curves): Markup {
  const at = axisOf(values);
  const found = panels.flatMap((panel) => crossings(panel, values, at));
  const drawn = someOf(panels);
  const plots = drawn.map((panel) => {
    const crossed = found.filter((one) => one.panel === panel);
    return plot(panel, crossed, { axis, values, policies }, at);
  });
  const title = `Cost by ${axis}`;
  return html`${figure({
    id,
    title,
    about: `Upward: work added per page, in us, each plot with a scale of its own. A ring: two policies cost the same.${levelText(panels, axis)}${drawnText(drawn, panels)}`,
    legend: policies.map(
      (name, series) =>
        html`<li><svg width="34" height="16" aria-hidden="true" focusable="false">${stroke(series, 'M1 8H33')}${marker(series, 17, 8)}</svg>${name}</li>`,
    ),
    ...inPairs(plots, HEAD + PLOT + FOOT),
    table: numbers(title, { axis, values, panels }),
  })}
${crossingTable(found, axis)}`;
}

/** A sentence that says how many plots there would be. */
export function drawnText(drawn: readonly unknown[], all: readonly unknown[]): string {
  return drawn.length === all.length ? '' : ` ${drawn.length} of ${all.length} plots are drawn; the table has all.`;
}

/** Plots that stand for all: of each group as many, the first, the last, and those at equal steps in between. */
function someOf(panels: readonly Panel[]): readonly Panel[] {
  if (panels.length <= MOST_PANELS) return panels;
  const groups = [...new Set(panels.map(({ group }) => group))].slice(0, MOST_PANELS);
  const each = Math.floor(MOST_PANELS / groups.length);
  return groups.flatMap((group) => {
    const mine = panels.filter((panel) => panel.group === group);
    const step = (mine.length - 1) / Math.max(1, each - 1);
    return mine.length <= each ? mine : Array.from({ length: each }, (_, i) => mine[Math.round(i * step)]!);
  });
}

/** Whether a policy has one run where others have several: its cost is taken for the same at every value. */
function isLevel({ points }: Curve, panel: Panel): boolean {
  return points.length === 1 && panel.curves.some((other) => other.points.length > 1);
}

/** The runs of a policy by the values of the axis. */
export function costsOf(curve: Curve, panel: Panel, values: readonly AxisValue[]): ReadonlyMap<AxisValue, CurvePoint> {
  const { points } = curve;
  const all = isLevel(curve, panel) ? values.map((at) => ({ ...points[0]!, at })) : points;
  return new Map(all.map((point) => [point.at, point]));
}

/** A sentence that says which policies are drawn as levels. */
export function levelText(panels: readonly Panel[], axis: string): string {
  const levels = panels.flatMap((panel) =>
    panel.curves
      .filter((curve) => isLevel(curve, panel))
      .map(({ name, points }) => `${name} was run with ${axis} ${points[0]!.at} only`),
  );
  const said = [...new Set(levels)];
  return said.length === 0 || said.length > 3 ? '' : ` ${said.join(', ')}, and counts as the same with any other.`;
}

/** From a value of the axis to 0..1: numbers on a linear or logarithmic scale, anything else in equal steps. */
function axisOf(values: readonly AxisValue[]): (value: AxisValue) => number {
  const numbers = values.filter((value) => typeof value === 'number');
  if (numbers.length < values.length) {
    const point = scalePoint(values.map(String), [0, 1]);
    return (value) => point(String(value)) ?? 0;
  }
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  const scale = least > 0 && most / least >= 16 ? scaleLog([least, most], [0, 1]) : scaleLinear([least, most], [0, 1]);
  return (value) => scale(value as number);
}

function plot(
  panel: Panel,
  crossed: readonly Crossing[],
  { axis, values, policies }: Omit<Curves, 'id' | 'panels'>,
  at: (value: AxisValue) => number,
): Markup {
  const costs = panel.curves.flatMap(({ points }) => points.map(({ cost }) => cost / 1000));
  const bottom = HEAD + PLOT;
  const y = scaleLinear([Math.min(0, ...costs), Math.max(0, ...costs) || 1], [bottom, HEAD + 6]).nice(4);
  const x = (share: number): number => LEFT + share * (HALF - LEFT - RIGHT);
  const few = values.filter((_, i) => i % Math.ceil(values.length / 6) === 0);
  const across = y
    .ticks(4)
    .map(
      (value) =>
        html`<path d="M${LEFT} ${fixed(y(value))}H${HALF - RIGHT}" class="${value === 0 ? 'zero' : 'grid'}"/>${word(LEFT - 6, y(value) + 4, String(value), 'end', 'tick')}`,
    );
  const up = ticks(
    few.map((_, i) => i),
    (i) => x(at(few[i]!)),
    (i) => shorten(String(few[i]), 56),
    HEAD + 6,
    bottom,
  );
  const path = line<CurvePoint>(
    (point) => x(at(point.at)),
    (point) => y(point.cost / 1000),
  ).digits(1);
  const drawn = panel.curves.map((curve) => {
    const { name, points } = curve;
    const series = policies.indexOf(name);
    const marks = points.map(
      ({ at: value, cost, safe, run }) =>
        html`<g class="mark"${runOf({ run })}><title>${name}, ${axis} ${String(value)}: ${duration(cost)} added per page${safe ? '' : ', not safe'}</title>${marker(series, x(at(value)), y(cost / 1000))}</g>`,
    );
    return html`${stroke(series, path([...costsOf(curve, panel, values).values()]) ?? '')}${marks}\n`;
  });
  const rings = crossed.map(
    ({ from, to, share, cost, before, behind }) =>
      html`<g class="mark"><title>${before} is cheaper up to ${String(from.at)}, ${behind} from ${String(to.at)} on</title><circle class="cross" cx="${fixed(x(at(from.at) + share * (at(to.at) - at(from.at))))}" cy="${fixed(y(cost / 1000))}" r="6" fill-opacity="0.2"/></g>`,
  );
  return html`${heading(panel.title)}${across}${up}${drawn}${rings}${word(HALF - RIGHT, bottom + 28, shorten(axis, HALF - LEFT), 'end', 'tick')}`;
}

/** Over a plot, in two lines at most. */
function heading(title: string): Markup[] {
  const words = title.split(', ');
  const fits = (n: number): boolean => words.slice(0, n).join(', ').length * 6.6 <= HALF - RIGHT;
  const first = Math.max(1, words.findLastIndex((_, i) => fits(i + 1)) + 1);
  const lines = [words.slice(0, first).join(', '), words.slice(first).join(', ')].filter((text) => text !== '');
  return lines.map((text, i) => word(0, 14 + i * 15, shorten(text, HALF - RIGHT), 'start', 'machine'));
}

function stroke(series: number, d: string): Markup {
  const dash = DASHES[series % SERIES]!;
  return html`<path class="curve l${series % SERIES}" d="${d}"${dash === '' ? '' : html` stroke-dasharray="${dash}"`}/>`;
}

function marker(series: number, x: number, y: number): Markup {
  const shape = symbolsFill[series % symbolsFill.length]!;
  return html`<path class="s${series % SERIES}" transform="translate(${fixed(x)} ${fixed(y)})" d="${symbol(shape, 44).digits(1)()}"/>`;
}

/** Pairs of policies of one plot whose order changes, where both have a run at the same two values. */
function crossings(panel: Panel, values: readonly AxisValue[], at: (value: AxisValue) => number): Crossing[] {
  const costs = new Map(panel.curves.map((curve) => [curve, costsOf(curve, panel, values)]));
  return panel.curves.flatMap((one, i) =>
    panel.curves.slice(i + 1).flatMap((other) => {
      const both = values.flatMap((value) => {
        const [a, b] = [costs.get(one)!.get(value), costs.get(other)!.get(value)];
        return a === undefined || b === undefined ? [] : [{ a, b }];
      });
      const apart = both.filter(({ a, b }) => a.cost !== b.cost);
      return apart.slice(1).flatMap(({ a, b }, next): Crossing[] => {
        const last = apart[next]!;
        const [was, is] = [last.a.cost - last.b.cost, a.cost - b.cost];
        if (was < 0 === is < 0) return [];
        const share = was / (was - is);
        const [before, behind] = was < 0 ? [one.name, other.name] : [other.name, one.name];
        const cost = last.a.cost + share * (a.cost - last.a.cost);
        return at(a.at) === at(last.a.at) ? [] : [{ panel, before, behind, from: last.a, to: a, share, cost }];
      });
    }),
  );
}

function crossingTable(found: readonly Crossing[], axis: string): Markup {
  const title = `Where two policies change places, by ${axis}`;
  if (found.length === 0) return html`<p>No two policies change places over ${axis}.</p>`;
  return table(
    title,
    [
      { title: 'of', kind: 'name' },
      { title: 'cheaper up to' },
      { title: 'is', kind: 'name' },
      { title: 'cheaper from' },
      { title: 'on is', kind: 'name' },
      { title: 'added per page there', kind: 'number' },
    ],
    found.map(({ panel, before, behind, from, to, cost }) => ({
      cells: [panel.title, cellOf(from.at), before, cellOf(to.at), behind, { text: duration(cost), value: cost }],
    })),
  );
}

function cellOf(value: AxisValue): string | { text: string; value: number } {
  return typeof value === 'number' ? { text: String(value), value } : String(value);
}

/** The pivot: a row for each policy of each plot, a column for each value of the axis. */
function numbers(title: string, { axis, values, panels }: Pick<Curves, 'axis' | 'values' | 'panels'>): Markup {
  const rows = panels.flatMap((panel) =>
    panel.curves.map(({ name, points }) => {
      const costs = new Map(points.map(({ at, cost }) => [at, short(cost / 1000)]));
      const safe = points.filter((point) => point.safe).length;
      const said = safe === points.length ? 'yes' : safe === 0 ? 'no' : `${safe} of ${points.length}`;
      return { cells: [panel.title, name, said, ...values.map((value) => costs.get(value) ?? '-')] };
    }),
  );
  return table(
    `${title}: us added per page, by ${axis}`,
    [
      { title: 'of', kind: 'name' },
      { title: 'policy', kind: 'name' },
      { title: 'safe' },
      ...values.map((value) => ({ title: String(value) })),
    ],
    rows,
  );
}
