import type { Grid } from './grid.ts';

/** One line of a catalog; prices have a range besides. */
interface Row {
  readonly name: string;
  readonly family: string;
  readonly title: string;
  readonly source: string;
  readonly default?: number;
  readonly low?: number;
  readonly high?: number;
  readonly confidence?: string;
}

/** What there is of one kind. */
export function catalogGrid(rows: readonly Row[]): Grid {
  if (rows[0]?.default !== undefined) {
    return {
      columns: ['cost', 'ns', 'low', 'high', 'confidence', 'what', 'source'],
      rows: rows.map((row) => [
        row.name,
        String(row.default),
        String(row.low),
        String(row.high),
        row.confidence!,
        row.title,
        row.source,
      ]),
    };
  }
  return {
    columns: ['name', 'family', 'what', 'source'],
    rows: rows.map((row) => [row.name, row.family, row.title, row.source]),
  };
}

/** One thing in full. */
export function detailGrid(rows: readonly { key: string; value: string; note: string }[]): Grid {
  return { columns: ['key', 'value', 'what'], rows: rows.map((row) => [row.key, row.value, row.note]) };
}
