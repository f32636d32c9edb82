/** Rows of the first screen: one per machine and policy, under a heading. */
import type { RunResult } from '../model/result.ts';

/**
 * The table: `head` is two lines of headings over what `cells` makes of a run. A run that is another's in every number
 * is named as such. `same`: the other's policy, by policy and machine.
 */
export function screenRows(
  results: readonly RunResult[],
  same: Readonly<Record<string, string>>,
  head: readonly [upper: string, lower: string],
  cells: (run: RunResult) => string,
): string[] {
  const wide = Math.max(...results.map((run) => run.machine.length)) + 2;
  const named = Math.max(13, ...results.map((run) => run.policy.length + 2));
  const rows = results.map((run, i) => {
    const first = run.machine !== results[i - 1]?.machine;
    const equal = same[`${run.policy} on ${run.machine}`];
    const label = `${(first ? run.machine : '').padEnd(wide)}${(run.policy + (first ? '*' : '')).padEnd(named)}`;
    return label + (equal === undefined ? cells(run) : `= ${equal}`);
  });
  return [
    `${' '.repeat(wide + named)}${head[0]}`,
    `${'machine'.padEnd(wide)}${'policy'.padEnd(named)}${head[1]}`,
    ...rows,
  ];
}
