import { exposureOf } from '../model/front.ts';
import type { Verdict } from '../model/result.ts';
import { count, type Grid } from './grid.ts';

/** A number as a cell: whole, or with three digits. */
function cellText(value: string | number | boolean | null): string {
  if (value === null) return '-';
  if (typeof value !== 'number') return String(value);
  return Number.isInteger(value) ? String(value) : Math.abs(value) >= 1000 ? value.toFixed(0) : value.toPrecision(4);
}

/** A pivot as rows. */
export function pivotGrid(table: {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly [head: string, ...values: (string | number | boolean | null)[]])[];
}): Grid {
  return { columns: table.columns, rows: table.rows.map(([head, ...values]) => [head, ...values.map(cellText)]) };
}

function exposureText(ns: number): string {
  return Number.isFinite(ns) ? cellText(ns) : 'for ever';
}

/** Runs of the front of cost against exposure. */
export function frontGrid(
  axes: readonly string[],
  rows: readonly {
    readonly cell: Readonly<Record<string, string | number | boolean>>;
    readonly run: {
      readonly cost: { readonly added_per_page_ns: number };
      readonly safety: {
        readonly exposed_ns: { readonly count: number; readonly sum: number };
        readonly verdict: Verdict;
      };
    };
  }[],
): Grid {
  return {
    columns: [...axes, 'added ns/page', 'exposed ns', 'verdict'],
    rows: rows.map(({ cell, run }) => [
      ...axes.map((axis) => String(cell[axis])),
      cellText(run.cost.added_per_page_ns),
      exposureText(exposureOf(run.safety.verdict, run.safety.exposed_ns)),
      run.safety.verdict,
    ]),
  };
}

/** What there is to do, before it is done. `seconds`: of one worker, from a part that was run; null if nothing is left. */
export function planText(
  { name, title }: { readonly name: string; readonly title: string },
  axes: ReadonlyMap<string, readonly unknown[]>,
  plan: { readonly cells: number; readonly runs: number; readonly done: number },
  seconds: number | null,
): string {
  const lines = [`${name}: ${title}`];
  for (const [axis, values] of axes)
    lines.push(`  ${axis.padEnd(32)} ${values.length}: ${values.map(String).join(', ')}`.slice(0, 99));
  const same = plan.cells - plan.runs;
  lines.push(
    `${count(plan.cells)} combinations${same === 0 ? '' : `, ${count(same)} of which are the same run as another`}`,
  );
  lines.push(
    `${count(plan.runs - plan.done)} of ${count(plan.runs)} runs are to be made, ${count(plan.done)} are there`,
  );
  if (seconds !== null) lines.push(`about ${durationText(seconds)} on one worker`);
  return `${lines.join('\n')}\n`;
}

function durationText(seconds: number): string {
  if (seconds < 100) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 6000 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** What was done. */
export function outcomeText(
  name: string,
  folder: string,
  {
    jobs,
    before,
    run,
    failed,
  }: { readonly jobs: number; readonly before: number; readonly run: number; readonly failed: number },
  failures: readonly { readonly hash: string; readonly reason: string }[],
): string {
  const lines = [
    `${name}: ${count(run)} runs made, ${count(before)} were there, ${count(failed)} failed; ${count(jobs)} in all, in ${folder}`,
  ];
  for (const { hash, reason } of failures.slice(0, 5)) lines.push(`  ${hash.slice(0, 12)} ${reason.split('\n')[0]}`);
  if (failures.length > 5) lines.push(`  and ${count(failures.length - 5)} more, in ${folder}/*.failed`);
  return `${lines.join('\n')}\n`;
}

/** What was handed to a scheduler. */
export function submittedText(
  name: string,
  folder: string,
  shards: number,
  { array, gather, logs }: { readonly array: string; readonly gather: string; readonly logs: string },
): string {
  return [
    `${name}: array job ${array} with ${shards} tasks, and job ${gather} behind it, which makes what is missing and gathers`,
    `  results in ${folder}, then ${folder}/${name}.parquet; what tasks print in ${logs}`,
    '',
  ].join('\n');
}
