/** Rows and columns, and the four ways to print them. */

export const FORMATS = ['table', 'json', 'csv', 'md'] as const;
export type Format = (typeof FORMATS)[number];

/** Cells as text, row by row. */
export interface Grid {
  readonly columns: readonly string[];
  /** Text cells; a cell that is a number is set flush right. */
  readonly rows: readonly (readonly string[])[];
}

const NUMBER = /^[-+]?[\d,.]+( ?(%|ns|us|ms|s|KiB|MiB|GiB|M|k))?$|^-$/;

/** The grid as text in a format other than JSON. */
export function renderGrid(grid: Grid, format: Exclude<Format, 'json'>): string {
  if (format === 'csv') return csv(grid);
  return format === 'md' ? markdown(grid) : table(grid);
}

function table({ columns, rows }: Grid): string {
  const right = flushRight(columns, rows);
  const widths = columns.map((column, i) => Math.max(column.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (right[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd();
  return [columns, ...rows].map((row) => `${line(row)}\n`).join('');
}

function markdown({ columns, rows }: Grid): string {
  const right = flushRight(columns, rows);
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return line(columns) + line(columns.map((_, i) => (right[i] ? '--:' : '---'))) + rows.map(line).join('');
}

/** The same rows in grids whose Markdown is at most `width` columns wide if it can be: each begins with the first column. */
export function splitColumns({ columns, rows }: Grid, width: number): Grid[] {
  const widths = columns.map((column, i) => 3 + Math.max(3, column.length, ...rows.map((row) => row[i]!.length)));
  const groups: number[][] = [];
  for (let i = 1, room = 0; i < columns.length; i++) {
    room -= widths[i]!;
    if (groups.length === 0 || room < 0) {
      groups.push([0]);
      room = width - 1 - widths[0]! - widths[i]!;
    }
    groups.at(-1)!.push(i);
  }
  const pick = (cells: readonly string[], group: readonly number[]): string[] => group.map((i) => cells[i]!);
  return groups.map((group) => ({ columns: pick(columns, group), rows: rows.map((row) => pick(row, group)) }));
}

/** The same as Markdown whose columns stand below each other, with no space to spare. */
export function alignedMarkdown({ columns, rows }: Grid): string {
  const right = flushRight(columns, rows);
  const all = [columns, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = columns.map((_, i) => Math.max(3, ...all.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]): string =>
    `|${cells.map((cell, i) => (right[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join('|')}|\n`;
  const rule = widths.map((width, i) => '-'.repeat(width - 1) + (right[i] ? ':' : '-'));
  return [all[0]!, rule, ...all.slice(1)].map(line).join('');
}

/** For programs: numbers without thousands separators, a unit that a whole column has behind its name, `-` as nothing. */
function csv({ columns, rows }: Grid): string {
  const units = columns.map((_, i) => {
    const found = new Set(
      rows.map((row) => (NUMBER.test(row[i]!) ? (/[^\d.,]+$/.exec(row[i]!)?.[0].trim() ?? '') : '')),
    );
    found.delete('-');
    return found.size === 1 ? [...found][0]! : '';
  });
  const cell = (text: string, unit: string): string => {
    if (!NUMBER.test(text)) return csvCell(text);
    return csvCell(
      text === '-'
        ? ''
        : text
            .slice(0, text.length - unit.length)
            .trim()
            .replaceAll(',', ''),
    );
  };
  const head = columns.map((column, i) => csvCell(units[i] === '' ? column : `${column} ${units[i]}`));
  return [head, ...rows.map((row) => row.map((text, i) => cell(text, units[i]!)))]
    .map((row) => `${row.join(',')}\n`)
    .join('');
}

function flushRight(columns: readonly string[], rows: readonly (readonly string[])[]): boolean[] {
  return columns.map((_, i) => rows.length > 0 && rows.every((row) => NUMBER.test(row[i]!)));
}

/** RFC 4180; a leading = + - @ of a text is defused with a quote, since spreadsheets run such cells. */
function csvCell(cell: string): string {
  const safe = /^[=+\-@]/.test(cell) && !NUMBER.test(cell) ? `'${cell}` : cell;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** 1234567 -> `1,234,567`, in every locale. */
export function count(value: number): string {
  return value.toString().replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Share of a whole with three decimals, `-` of nothing. */
export function percent(part: number, whole: number): string {
  return whole === 0 ? '-' : `${((part / whole) * 100).toFixed(3)} %`;
}
