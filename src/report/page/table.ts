import { data, html, type Markup, type Piece } from './markup.ts';

/** A column: what stands at its head, and whether its cells are names of the row, numbers, or verdicts. */
export interface Column {
  readonly title: string;
  readonly kind?: 'name' | 'number' | 'verdict';
}

/** A cell as it is read, and what it is sorted by if that is not its text. */
export interface Cell {
  readonly text: Piece;
  readonly value?: number;
}

/** A row; `run` is the place of the run that it is of among those of its comparison, for filters and marks of charts. */
export interface Row {
  readonly run?: number;
  readonly cells: readonly (Cell | string)[];
}

/** A table that can be scrolled with the keyboard where it is too wide. */
export function table(caption: string, columns: readonly Column[], rows: readonly Row[]): Markup {
  const kinds = columns.map(({ kind }) => kind);
  const body = rows.map((row) => html`<tr${runOf(row)}>${row.cells.map((cell, i) => cellOf(cell, kinds[i]))}</tr>\n`);
  return frame(caption, columns, body);
}

/** Rows of a table as columns, for the script of the page: of each the words that it has, and which of them is where. */
export interface PackedRows {
  readonly count: number;
  readonly columns: readonly {
    readonly kind?: Column['kind'];
    readonly words: readonly string[];
    readonly at: readonly number[];
    /** By which cells are sorted, if not by their words. */
    readonly ranks?: readonly number[];
  }[];
}

/** A table with a row for each run, so many that the script of the page makes them. `instead`: where else they are. */
export function longTable(
  caption: string,
  columns: readonly Column[],
  rows: readonly Row['cells'][],
  instead: Piece,
): Markup {
  const packed: PackedRows = {
    count: rows.length,
    columns: columns.map(({ kind }, i) => {
      const cells = rows.map((row) => row[i]!).map((cell) => (typeof cell === 'string' ? { text: cell } : cell));
      const words = [...new Set(cells.map(({ text }) => String(text)))];
      const places = new Map(words.map((word, place) => [word, place]));
      const values = [...new Set(cells.map(({ value }) => value ?? 0))].sort((a, b) => a - b);
      const ranks = new Map(values.map((value, rank) => [value, rank]));
      return {
        ...(kind !== undefined && { kind }),
        words,
        at: cells.map(({ text }) => places.get(String(text))!),
        ...(cells.some(({ text, value }) => value !== undefined && String(value) !== text) && {
          ranks: cells.map(({ value }) => ranks.get(value ?? 0)!),
        }),
      };
    }),
  };
  const body = html`<tr><td colspan="${columns.length}">${instead}</td></tr>\n`;
  return html`<div data-long="">${frame(caption, columns, body)}${data(packed)}</div>`;
}

function frame(caption: string, columns: readonly Column[], body: Piece): Markup {
  return html`<div class="scroll" tabindex="0" role="group" aria-label="Table: ${caption}"><table data-sortable="">
<caption>${caption}</caption>
<thead><tr>${columns.map(({ title, kind }) => html`<th scope="col"${classOf(kind)}>${title}</th>`)}</tr></thead>
<tbody>
${body}</tbody>
</table></div>`;
}

/** The attribute by which marks and rows of one run find each other. */
export function runOf({ run }: { readonly run?: number | undefined }): Markup {
  return run === undefined ? html`` : html` data-run="${run}"`;
}

function cellOf(cell: Cell | string, kind: Column['kind']): Markup {
  const { text, value } = typeof cell === 'string' ? { text: cell, value: undefined } : cell;
  const sorted = value === undefined ? html`` : html` data-value="${value}"`;
  if (kind === 'verdict') return html`<td><span class="${text}">${text}</span></td>`;
  return kind === 'name'
    ? html`<th scope="row"${sorted}><bdi>${text}</bdi></th>`
    : html`<td${classOf(kind)}${sorted}>${text}</td>`;
}

function classOf(kind: Column['kind']): Markup {
  return kind === 'number' ? html` class="number"` : html``;
}
