import { html, type Markup, type Piece } from './markup.ts';

/** A column: what stands at its head, and whether its cells are names of the row, or numbers. */
export interface Column {
  readonly title: string;
  readonly kind?: 'name' | 'number';
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
  return html`<div class="scroll" tabindex="0" role="group" aria-label="Table: ${caption}"><table data-sortable="">
<caption>${caption}</caption>
<thead><tr>${columns.map(({ title, kind }) => html`<th scope="col"${classOf(kind)}>${title}</th>`)}</tr></thead>
<tbody>
${rows.map((row) => html`<tr${runOf(row)}>${row.cells.map((cell, i) => cellOf(cell, kinds[i]))}</tr>\n`)}</tbody>
</table></div>`;
}

/** The attribute by which marks and rows of one run find each other. */
export function runOf({ run }: { readonly run?: number | undefined }): Markup {
  return run === undefined ? html`` : html` data-run="${run}"`;
}

function cellOf(cell: Cell | string, kind: Column['kind']): Markup {
  const { text, value } = typeof cell === 'string' ? { text: cell, value: undefined } : cell;
  const sorted = value === undefined ? html`` : html` data-value="${value}"`;
  return kind === 'name'
    ? html`<th scope="row"${sorted}><bdi>${text}</bdi></th>`
    : html`<td${classOf(kind)}${sorted}>${text}</td>`;
}

function classOf(kind: Column['kind']): Markup {
  return kind === 'number' ? html` class="number"` : html``;
}
