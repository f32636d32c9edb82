import { scaleLinear } from 'd3-scale';
import { stack, stackOffsetDiverging } from 'd3-shape';
import { html, type Markup } from './markup.ts';
import { figure, fillOf, fixed, key, SERIES, shorten, ticks, WIDTH, word } from './svg.ts';
import { runOf, table } from './table.ts';

/** A run in a chart: `index` is its place in the comparison. */
export interface Label {
  readonly index: number;
  readonly machine: string;
  readonly policy: string;
}

/** Parts of one number, side by side for several runs. */
export interface Bars {
  readonly id: string;
  readonly title: string;
  readonly about: string;
  /** Of the axis. */
  readonly unit: string;
  /** Name of each part; at most as many as there are fills. */
  readonly parts: readonly string[];
  readonly rows: readonly { readonly label: Label; readonly values: readonly number[]; readonly total: number }[];
  readonly text: (value: number) => string;
}

const LEFT = 150;
const RIGHT = 84;
const ROW = 22;
const HEAD = 22;

/** Stacked bars: parts below 0 go to the left of it. */
export function bars({ id, title, about, unit, parts, rows, text }: Bars): Markup {
  const used = parts.map((_, part) => rows.some(({ values }) => values[part] !== 0));
  const stacked = stack<(typeof rows)[number], number>()
    .keys(parts.map((_, part) => part))
    .value((row, part) => row.values[part] ?? 0)
    .offset(stackOffsetDiverging)(rows as (typeof rows)[number][]);
  const ends = stacked.flatMap((layer) => layer.flat());
  const most = scaleLinear([0, Math.max(0, ...ends) || 1], [0, 1])
    .nice()
    .domain()[1]!;
  const x = scaleLinear([Math.min(0, ...ends), most], [LEFT, WIDTH - RIGHT]);
  let y = 4;
  let machine: string | undefined;
  const content = rows.map(({ label, total }, row) => {
    const head: Markup[] = [];
    if (label.machine !== machine) {
      machine = label.machine;
      head.push(word(0, y + 15, shorten(machine, LEFT * 2), 'start', 'machine'));
      y += HEAD;
    }
    const top = y;
    y += ROW;
    const layers = stacked.map((layer, part) => {
      const [from, to] = layer[row]!;
      if (from === to) return html``;
      const tip = `${label.policy} on ${label.machine}: ${parts[part]} ${text(to - from)} of ${text(total)}`;
      return html`<rect class="mark" x="${fixed(x(from))}" y="${top + 3}" width="${fixed(x(to) - x(from))}" height="${ROW - 6}" ${fillOf(part % SERIES)}><title>${from < 0 ? tip.replace(text(to - from), text(from - to)) : tip}</title></rect>`;
    });
    const end = Math.max(0, ...stacked.map((layer) => layer[row]![1]));
    return html`${head}<g${runOf({ run: label.index })}>${word(LEFT - 8, top + 15, shorten(label.policy, LEFT - 8), 'end')}${layers}${word(x(end) + 6, top + 15, text(total), 'start', 'value')}</g>\n`;
  });
  const axis = ticks(x.ticks(6), x, (value) => x.tickFormat(6)(value), 4, y + 2);
  return figure({
    id,
    title,
    about,
    legend: parts.map((name, part) => (used[part] ? key(part % SERIES, name) : '')),
    height: y + 34,
    content: html`${axis}${content}${word(WIDTH - RIGHT, y + 31, unit, 'end', 'tick')}`,
    table: table(
      title,
      [
        { title: 'machine', kind: 'name' },
        { title: 'policy', kind: 'name' },
        { title: `all, ${unit}`, kind: 'number' },
        ...parts.map((name) => ({ title: name, kind: 'number' as const })),
      ],
      rows.map(({ label, values, total }) => ({
        run: label.index,
        cells: [label.machine, label.policy, ...[total, ...values].map((value) => ({ text: text(value), value }))],
      })),
    ),
  });
}
