import { html, type Markup, type Piece } from './markup.ts';

/** Width of every chart in units of its own; text is 12 of them high. */
export const WIDTH = 720;
/** Of two plots side by side each. */
export const HALF = WIDTH / 2;

/** Plots of half the width and one height, two in a row, and how high all of them are. */
export function inPairs(plots: readonly Markup[], high: number): { content: Markup[]; height: number } {
  const content = plots.map(
    (plot, i) => html`<g transform="translate(${(i % 2) * HALF} ${Math.floor(i / 2) * high})">${plot}</g>\n`,
  );
  return { content, height: Math.ceil(plots.length / 2) * high };
}

/** Series that can be told apart without their hue: each has a pattern of its own, too. */
export const SERIES = 8;

/** Lines over the colour of each series, in a square of 8. */
const STROKES: readonly string[] = [
  '',
  'M0 8L8 0M-2 2L2 -2M6 10L10 6',
  'M0 0L8 8M-2 6L2 10M6 -2L10 2',
  'M2 2h1.5v1.5h-1.5zM6 6h1.5v1.5h-1.5z',
  'M0 4H8',
  'M4 0V8',
  'M0 0L8 8M0 8L8 0',
  'M0 4H8M4 0V8',
];

/** Fills that charts of a page share; stands once, before them. */
export function patterns(): Markup {
  return html`<svg class="patterns" width="0" height="0" aria-hidden="true" focusable="false"><defs>
${STROKES.map(
  (stroke, i) =>
    html`<pattern id="fill${i}" width="8" height="8" patternUnits="userSpaceOnUse"><rect width="8" height="8" class="s${i}"/><path d="${stroke}" class="hatch"/></pattern>\n`,
)}</defs></svg>`;
}

/** Fill attribute of a series. */
export function fillOf(series: number): Markup {
  return html`fill="url(#fill${series})"`;
}

/** A chart with its words, and the table of the same numbers folded away under it. */
export interface Figure {
  /** Unique in the page: letters, digits and `-`. */
  readonly id: string;
  readonly title: string;
  /** How to read it. */
  readonly about: string;
  readonly legend?: Piece;
  readonly height: number;
  readonly content: Piece;
  readonly table: Markup;
}

/** The figure as HTML. */
export function figure({ id, title, about, legend, height, content, table }: Figure): Markup {
  return html`<figure id="${id}" aria-labelledby="${id}-title">
<figcaption><h3 id="${id}-title">${title}</h3><p>${about}</p></figcaption>
${legend === undefined ? '' : html`<ul class="legend" aria-label="Legend: ${title}">${legend}</ul>`}
<div class="scroll" tabindex="0" role="group" aria-label="Chart: ${title}">
<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="${id}-svg">
<title id="${id}-svg">${title}. ${about} The table below has the same numbers.</title>
${content}</svg></div>
<details><summary>Numbers of: ${title}</summary>${table}</details>
</figure>`;
}

/** One entry of a legend. */
export function key(series: number, name: string): Markup {
  return html`<li><svg width="18" height="12" aria-hidden="true" focusable="false"><rect width="18" height="12" ${fillOf(series)}/></svg>${name}</li>`;
}

/** A word in a chart. */
export function word(
  x: number,
  y: number,
  text: string,
  anchor: 'start' | 'middle' | 'end' = 'start',
  kind = '',
): Markup {
  return html`<text x="${fixed(x)}" y="${fixed(y)}" text-anchor="${anchor}" class="${kind}">${text}</text>`;
}

/** Vertical lines of an axis with a word under each. */
export function ticks(
  values: readonly number[],
  at: (value: number) => number,
  text: (value: number) => string,
  top: number,
  bottom: number,
): Markup[] {
  return values.map(
    (value) =>
      html`<path d="M${fixed(at(value))} ${fixed(top)}V${fixed(bottom)}" class="${value === 0 ? 'zero' : 'grid'}"/>${word(at(value), bottom + 14, text(value), 'middle', 'tick')}\n`,
  );
}

/** A coordinate with one decimal: a page is read by people, and kept small. */
export function fixed(value: number): string {
  return Number.isFinite(value) ? String(Math.round(value * 10) / 10) : '0';
}

/** As much of a name as fits in `room` units. */
export function shorten(name: string, room: number): string {
  const most = Math.floor(room / 6.6);
  return name.length <= most ? name : `${name.slice(0, most - 1)}…`;
}
