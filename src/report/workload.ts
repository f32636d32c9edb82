import type { Grid } from './grid.ts';

/** What a list shows of a workload. */
interface Row {
  readonly name: string;
  readonly summary: string;
  readonly stands: string;
  readonly sizes: Readonly<Record<string, { readonly means: string; readonly is: number }>>;
}

/** All workloads. */
export function workloadsGrid(rows: readonly Row[]): Grid {
  return { columns: ['workload', 'what', 'stands for'], rows: rows.map((row) => [row.name, row.summary, row.stands]) };
}

/** The sizes of one workload. */
export function sizesGrid({ sizes }: Row): Grid {
  const rows = Object.entries(sizes).map(([name, { means, is }]) => [`--${name}`, String(is), means]);
  return { columns: ['option', 'default', 'what'], rows };
}
