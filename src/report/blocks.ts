/** Rows that are too long for a line: each as a block of lines, one column below the other. */
import { type Grid, renderGrid } from './grid.ts';
import { wrap } from './wrap.ts';

/** Every row as its first cell and, below that, what the other columns have, in lines of at most `width`. */
function blocks({ columns, rows }: Grid, width: number): string {
  const indent = 4 + Math.max(...columns.slice(1).map((column) => Math.min(column.length, 24)));
  const text = rows.map(([name = '', ...cells]) => {
    const lines = cells.flatMap((cell, i) => {
      if (cell === '') return [];
      const [head = '', ...under] = wrap(columns[i + 1]!, indent - 4);
      const lines = wrap(cell, width - indent);
      const labels = [head, ...under].concat(lines.map(() => '')).slice(0, Math.max(lines.length, under.length + 1));
      return labels.map((label, j) => `  ${label.padEnd(indent - 2)}${lines[j] ?? ''}`.trimEnd());
    });
    return [name, ...lines].join('\n');
  });
  return `${text.join('\n\n')}\n`;
}

/** The rows as a table, or where that is wider than a terminal of `width` columns as blocks. */
export function fitting(grid: Grid, width = Number.POSITIVE_INFINITY): string {
  const table = renderGrid(grid, 'table');
  return table.split('\n').every((line) => line.length <= width) ? table : blocks(grid, width);
}
