/** Results of a sweep as rows, and rows as tables: pivots, the best, the front of cost against exposure. */
import { UsageError } from '../model/errors.ts';
import { exposureOf, frontOf } from '../model/front.ts';
import { nearText } from '../model/near.ts';
import type { RunResult } from '../model/result.ts';
import { type AxisValue, axesOf, type Cell, type SweepSpec } from '../model/sweep.ts';
import type { Sweep } from './grid.ts';
import type { Store } from './store.ts';

/** One run of a sweep with its result. */
export interface SweepRow {
  readonly cell: Cell;
  readonly hash: string;
  readonly run: RunResult;
}

/** The rows whose results are there, in the order of the sweep's file, and how many are missing. */
export function rowsOf(sweep: Sweep, store: Store): { readonly rows: SweepRow[]; readonly missing: number } {
  const done = store.done();
  const here = sweep.jobs.filter(({ hash }) => done.has(hash));
  const read = new Map<string, RunResult>();
  for (const { hash } of here) if (!read.has(hash)) read.set(hash, store.read(hash).run);
  const rows = here.map(({ cell, hash }) => ({ cell, hash, run: read.get(hash)! }));
  return { rows, missing: sweep.jobs.length - rows.length };
}

/** Numbers and verdicts of a run by their keys in the JSON result: `cost.added_per_page_ns`, `safety.window_ns.p99`. */
export function metricsOf(run: RunResult): Map<string, AxisValue> {
  const { cost, safety } = run;
  return new Map([...flat(cost, 'cost.'), ...flat(safety, 'safety.')]);
}

function flat(group: object, before: string): [string, AxisValue][] {
  return Object.entries(group).flatMap(([key, value]): [string, AxisValue][] => {
    if (typeof value === 'object') return value === null || Array.isArray(value) ? [] : flat(value, `${before}${key}.`);
    return [[`${before}${key}`, value as AxisValue]];
  });
}

/** What a pivot shows. */
export interface Pivot {
  readonly rows: string;
  readonly columns: string;
  readonly metric: string;
  /** Cells have to have these values. */
  readonly where: Readonly<Record<string, string>>;
}

/** A table of one metric over two axes. */
export interface PivotTable {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly [head: string, ...values: (AxisValue | null)[]])[];
}

/** A pivot. Every cell has to be one run: what other axes there are has to be said with `where`. */
export function pivot(
  spec: SweepSpec,
  place: string,
  all: readonly SweepRow[],
  { rows, columns, metric, where }: Pivot,
): PivotTable {
  const axes = axesOf(spec, place);
  const names = [...axes.keys()];
  for (const axis of [rows, columns, ...Object.keys(where)]) {
    if (!axes.has(axis))
      throw new UsageError(`no axis "${axis}"${nearText(axis, names)}; axes are ${names.join(', ')}`);
  }
  const chosen = all.filter(({ cell }) => Object.entries(where).every(([axis, value]) => String(cell[axis]) === value));
  const open = names.filter(
    (axis) => axis !== rows && axis !== columns && new Set(chosen.map(({ cell }) => cell[axis])).size > 1,
  );
  if (open.length > 0) {
    const [axis] = open;
    throw new UsageError(
      `${open.join(', ')} differ${open.length === 1 ? 's' : ''} within a cell: say --where ${axis}=${axes.get(axis!)![0]}, or take one of them as --rows or --columns`,
    );
  }
  const heads = axes.get(columns)!.filter((value) => chosen.some(({ cell }) => cell[columns] === value));
  return {
    columns: [rows, ...heads.map(String)],
    rows: axes
      .get(rows)!
      .filter((value) => chosen.some(({ cell }) => cell[rows] === value))
      .map((value) => [
        String(value),
        ...heads.map((head) => {
          const row = chosen.find(({ cell }) => cell[rows] === value && cell[columns] === head);
          return row === undefined ? null : metricOf(row.run, metric);
        }),
      ]),
  };
}

function metricOf(run: RunResult, metric: string): AxisValue {
  const metrics = metricsOf(run);
  const value = metrics.get(metric) ?? metrics.get(`cost.${metric}`) ?? metrics.get(`safety.${metric}`);
  if (value === undefined)
    throw new UsageError(
      `no metric "${metric}"${nearText(metric, [...metrics.keys()])}; metrics are the keys of cost and safety in the JSON of run`,
    );
  return value;
}

/** Runs that no other of the same trace beats in cost per page without being exposed for longer, the cheapest first. */
export function front(rows: readonly SweepRow[]): SweepRow[] {
  const runs = rows.filter((row, i) => rows.findIndex(({ hash }) => hash === row.hash) === i);
  return frontOf(runs, ({ cell, run: { cost, safety } }) => ({
    group: String(cell.trace),
    cost: cost.added_per_page_ns,
    exposure: exposureOf(safety.verdict, safety.exposed_ns),
  }));
}
