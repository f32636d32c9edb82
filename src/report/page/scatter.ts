import { scaleLinear, scaleSymlog } from 'd3-scale';
import { symbol, symbolCircle, symbolSquare, symbolTriangle } from 'd3-shape';
import type { Verdict } from '../../model/result.ts';
import type { Label } from './bars.ts';
import { html, type Markup } from './markup.ts';
import { duration, round } from './number.ts';
import { figure, fixed, shorten, ticks, WIDTH, word } from './svg.ts';
import { runOf, table } from './table.ts';

/** What one run costs and how far it is exposed. */
export interface Dot {
  readonly label: Label;
  /** Nanoseconds per page. */
  readonly added: number;
  /** Nanoseconds; infinite where the exposure never ends. */
  readonly exposed: number;
  readonly verdict: Verdict;
  /** The word beside it; the policy if not given. */
  readonly note?: string;
}

/** A chart of cost against exposure. */
interface Scatter {
  readonly id: string;
  readonly title: string;
  readonly about: string;
  readonly table: Markup;
  /** Dots that a line goes through, of each machine in their order. */
  readonly front?: readonly Dot[];
}

const SHAPES = { safe: symbolCircle, exposed: symbolTriangle, unsafe: symbolSquare } as const;
/** The same of many dots, behind their middle. The script of the page takes their words from the table. */
const SMALL: Readonly<Record<Verdict, (x: number, y: number) => string>> = {
  safe: (x, y) => `M${fixed(x - 4)} ${fixed(y)}a4 4 0 1 0 8 0a4 4 0 1 0-8 0z`,
  exposed: (x, y) => `M${fixed(x)} ${fixed(y - 5.5)}l4.8 8.2h-9.6z`,
  unsafe: (x, y) => `M${fixed(x - 3.5)} ${fixed(y - 3.5)}h7v7h-7z`,
};
/** Dots that have a drawing of their own each. */
const MOST_DOTS = 300;
const VERDICTS = ['safe', 'exposed', 'unsafe'] as const;
/** How to read any of them. */
export const ABOUT =
  'To the right: work added per page, in us. Upward: for how long, all pages together, a device could have used a page that was no longer its own.';
const LEFT = 90;
const RIGHT = 24;
const PLOT = 200;
const HEAD = 24;
/** The strip above an axis, for what never ends. */
const ABOVE = 28;

/** Runs of a comparison. */
export function scatter(id: string, dots: readonly Dot[]): Markup {
  const title = 'Cost against exposure';
  return plots(dots, {
    id,
    title,
    about: ABOUT,
    table: table(
      title,
      [
        { title: 'machine', kind: 'name' },
        { title: 'policy', kind: 'name' },
        { title: 'added per page', kind: 'number' },
        { title: 'exposed in all', kind: 'number' },
        { title: 'verdict' },
      ],
      dots.map((dot) => ({
        run: dot.label.index,
        cells: [
          dot.label.machine,
          dot.label.policy,
          { text: duration(dot.added), value: dot.added },
          { text: exposureText(dot.exposed), value: Math.min(dot.exposed, Number.MAX_VALUE) },
          dot.verdict,
        ],
      })),
    ),
  });
}

/** Cost to the right, exposure upward, one plot per machine; cheap and safe is below and to the left. */
export function plots(dots: readonly Dot[], { front = [], ...about }: Scatter): Markup {
  const machines = [...new Set(dots.map(({ label }) => label.machine))];
  const most = Math.max(10, ...dots.map(({ exposed }) => exposed).filter(Number.isFinite));
  const added = dots.map((dot) => dot.added / 1000);
  const x = scaleLinear([Math.min(0, ...added), Math.max(0, ...added) || 1], [LEFT, WIDTH - RIGHT - 70]).nice();
  const decade = Math.max(3, Math.ceil(Math.log10(most)));
  const step = Math.ceil((decade - 1) / 5);
  const marks = [
    0,
    ...Array.from({ length: Math.floor((decade - 2) / step) + 1 }, (_, i) => 10 ** (decade - i * step)),
  ];
  const crowded = dots.length > MOST_DOTS;
  let top = 0;
  const content = machines.map((machine) => {
    const plot = top + HEAD + ABOVE;
    const bottom = plot + PLOT;
    const y = scaleSymlog([0, 10 ** decade], [bottom, plot]).constant(10);
    const mine = dots.filter(({ label }) => label.machine === machine);
    const left = x.range()[0]!;
    const right = WIDTH - RIGHT;
    const placed = mine.map((dot) => ({
      dot,
      x: x(dot.added / 1000),
      y: Number.isFinite(dot.exposed) ? y(dot.exposed) : plot - 14,
    }));
    const words = place(placed, bottom);
    const steps = front.flatMap((dot) => placed.filter((one) => one.dot === dot));
    const line = steps.map((one, i) => `${i === 0 ? 'M' : 'L'}${fixed(one.x)} ${fixed(one.y)}`).join('');
    const lines = marks.map(
      (value) =>
        html`<path d="M${left} ${fixed(y(value))}H${right}" class="${value === 0 ? 'zero' : 'grid'}"/>${word(left - 8, y(value) + 4, round(value), 'end', 'tick')}`,
    );
    const never = mine.some(({ exposed }) => !Number.isFinite(exposed))
      ? word(left - 8, plot - 10, 'never ends', 'end', 'tick')
      : '';
    const corner = html`<rect class="corner" x="${left}" y="${bottom - 26}" width="${fixed((right - left) / 4)}" height="26"/>${word(left + 6, bottom - 9, 'cheap and safe', 'start', 'tick')}`;
    const drawn = words.map(({ dot, x: cx, y: cy, lx, ly }) => {
      const { label, verdict } = dot;
      const tip = `${label.policy} on ${machine}: ${duration(dot.added)} added per page, exposed ${exposureText(dot.exposed)}, ${verdict}`;
      const far =
        Math.abs(ly - cy) > 12
          ? html`<path class="lead" d="M${fixed(cx)} ${fixed(cy)}L${fixed(lx)} ${fixed(ly - 4)}"/>`
          : '';
      const named = html`${far}${noteOf(dot) === '' ? '' : word(lx, ly, shorten(noteOf(dot), 160))}`;
      if (crowded)
        return html`${named}<path class="mark ${verdict}"${runOf({ run: label.index })} d="${SMALL[verdict](cx, cy)}"/>\n`;
      return html`<g class="mark"${runOf({ run: label.index })}><title>${tip}</title><path class="${verdict}" transform="translate(${fixed(cx)} ${fixed(cy)})" d="${symbol(SHAPES[verdict], 90)()}"/>${named}</g>\n`;
    });
    const head = word(0, top + 15, shorten(machine, 400), 'start', 'machine');
    const part = html`${head}${corner}${lines}${never}${ticks(x.ticks(6), x, String, plot, bottom)}${line === '' ? '' : html`<path class="front" d="${line}"/>`}${drawn}`;
    top = bottom + 26;
    return part;
  });
  return figure({
    ...about,
    legend: VERDICTS.filter((verdict) => dots.some((dot) => dot.verdict === verdict)).map(
      (verdict) =>
        html`<li><svg width="18" height="16" aria-hidden="true" focusable="false"><path class="${verdict}" transform="translate(9 8)" d="${symbol(SHAPES[verdict], 80)()}"/></svg>${verdict}</li>`,
    ),
    height: top + 14,
    content: html`${content}${word(WIDTH - RIGHT, top + 8, 'us added per page', 'end', 'tick')}`,
  });
}

/** How long, in words. */
export function exposureText(ns: number): string {
  return Number.isFinite(ns) ? duration(ns) : 'for ever';
}

function noteOf({ note, label }: Dot): string {
  return note ?? label.policy;
}

interface Placed {
  readonly dot: Dot;
  readonly x: number;
  readonly y: number;
}

/** Where the words go: beside their mark, or as far above or below it as there is room. */
function place(dots: readonly Placed[], bottom: number): (Placed & { lx: number; ly: number })[] {
  const taken: { left: number; right: number; y: number }[] = dots.map(({ x, y }) => ({
    left: x - 7,
    right: x + 7,
    y: y + 4,
  }));
  return dots.map((dot) => {
    // A word that was asked to be empty, or that finds no room, is left out: its table has it.
    if (dot.dot.note === '') return { ...dot, lx: dot.x, ly: dot.y };
    const width = shorten(noteOf(dot.dot), 160).length * 7 + 5;
    const free = (lx: number, ly: number): boolean =>
      ly < bottom - 2 && !taken.some(({ left, right, y }) => lx < right && lx + width > left && Math.abs(y - ly) < 13);
    const side = dot.x + 10 + width > WIDTH ? dot.x - 10 - width : dot.x + 10;
    const steps = Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? -1 : 1) * Math.ceil(i / 2) * 14);
    const near = dot.dot.note === undefined ? steps : steps.slice(0, 5);
    const shift = near.find((step) => free(side, dot.y + 4 + step)) ?? (near === steps ? 0 : undefined);
    if (shift === undefined) return { ...dot, dot: { ...dot.dot, note: '' }, lx: dot.x, ly: dot.y };
    const ly = dot.y + 4 + shift;
    taken.push({ left: side, right: side + width, y: ly });
    return { ...dot, lx: side, ly };
  });
}
