import { scaleLog } from 'd3-scale';
import type { Label } from './bars.ts';
import { html, type Markup, type Piece } from './markup.ts';
import { duration, round, whole } from './number.ts';
import { figure, fixed, shorten, ticks, WIDTH, word } from './svg.ts';
import { runOf, table } from './table.ts';

/** Three points of a distribution for several runs; times in nanoseconds. */
export interface Ranges {
  readonly id: string;
  readonly title: string;
  readonly about: string;
  /** Names of the points, from the least to the greatest. */
  readonly points: readonly [string, string, string];
  /** What is counted; null where that is the same for all and said elsewhere. */
  readonly counted: string | null;
  readonly rows: readonly { readonly label: Label; readonly values: readonly number[]; readonly count: number }[];
}

const LEFT = 150;
const RIGHT = 110;
const ROW = 22;
const HEAD = 22;

/** Lines on a logarithmic axis: thick between the first two points, thin up to the last. Nothing where nothing was counted. */
export function ranges({ id, title, about, points, counted, rows }: Ranges): Markup {
  if (rows.every(({ count }) => count === 0)) return html``;
  const found = rows.flatMap(({ values, count }) => (count > 0 ? values.filter((value) => value > 0) : []));
  const [least, most] = found.length === 0 ? [1, 10] : [Math.min(...found), Math.max(...found)];
  const x = scaleLog([least, Math.max(most, least * 10)], [LEFT, WIDTH - RIGHT]).nice();
  const at = (value: number): number => x(Math.max(value, x.domain()[0]!));
  let y = 4;
  let machine: string | undefined;
  const content = rows.map(({ label, values, count }) => {
    const head: Markup[] = [];
    if (label.machine !== machine) {
      machine = label.machine;
      head.push(word(0, y + 15, shorten(machine, LEFT * 2), 'start', 'machine'));
      y += HEAD;
    }
    const middle = y + ROW / 2;
    y += ROW;
    const said = points.map((name, i) => `${name} ${duration(values[i]!)}`).join(', ');
    const drawn = count === 0 ? word(LEFT + 4, middle + 4, 'none', 'start', 'tick') : line(values.map(at), middle);
    const tip = `${label.policy} on ${label.machine}: ${said}${counted === null ? '' : `, ${whole(count)} ${counted}`}`;
    const right = counted === null ? duration(values[1]!) : `${whole(count)} x`;
    return html`${head}<g${runOf({ run: label.index })}>${word(LEFT - 8, middle + 4, shorten(label.policy, LEFT - 8), 'end')}<g class="mark"><title>${tip}</title><rect x="${LEFT}" y="${middle - 10}" width="${WIDTH - LEFT - RIGHT}" height="20" class="hit"/>${drawn}</g>${word(WIDTH, middle + 4, right, 'end', 'value')}</g>\n`;
  });
  const decades = x.ticks(10).filter((value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9);
  const few = decades.filter((_, i) => i % Math.ceil(decades.length / 8) === 0);
  return figure({
    id,
    title,
    about,
    legend: points.map((name, i) => html`<li>${pointKey(i)}${name}</li>`),
    height: y + 22,
    content: html`${ticks(few, x, round, 4, y + 2)}${content}`,
    table: table(
      title,
      [
        { title: 'machine', kind: 'name' },
        { title: 'policy', kind: 'name' },
        ...(counted === null ? [] : [{ title: counted, kind: 'number' as const }]),
        ...points.map((name) => ({ title: name, kind: 'number' as const })),
      ],
      rows.map(({ label, values, count }) => ({
        run: label.index,
        cells: [
          label.machine,
          label.policy,
          ...(counted === null ? [] : [{ text: whole(count), value: count }]),
          ...values.map((value) => ({ text: count === 0 ? '-' : duration(value), value })),
        ],
      })),
    ),
  });
}

function line([low, middle, high]: readonly number[], y: number): Piece {
  return html`<path class="thick" d="M${fixed(low!)} ${y}H${fixed(middle!)}"/><path class="thin" d="M${fixed(middle!)} ${y}H${fixed(high!)}"/>${point(0, low!, y)}${point(1, middle!, y)}${point(2, high!, y)}`;
}

/** A ring, a bar, a diamond. */
function point(kind: number, x: number, y: number): Markup {
  if (kind === 0) return html`<circle class="point" cx="${fixed(x)}" cy="${y}" r="4"/>`;
  if (kind === 1) return html`<path class="stroke" d="M${fixed(x)} ${y - 7}V${y + 7}"/>`;
  return html`<path class="full" d="M${fixed(x)} ${y - 5}l5 5l-5 5l-5 -5z"/>`;
}

function pointKey(kind: number): Markup {
  return html`<svg width="18" height="16" aria-hidden="true" focusable="false">${point(kind, 9, 8)}</svg>`;
}
