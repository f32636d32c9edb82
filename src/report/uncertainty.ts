import type { ComparisonResult } from '../model/result.ts';
import type { Interval, Ranking, Uncertainty } from '../model/uncertainty.ts';
import { count } from './grid.ts';

/** Share of draws from which on a ranking stands. */
const STANDS = 0.95;

/** Lines under the table: in how many draws the ranking of policies holds, and where the numbers lie. */
export function uncertaintySentences({ draws, records, recordsOfTrace, rankings, intervals }: Uncertainty): string[] {
  const part = records < recordsOfTrace ? `, on the first ${count(records)} of ${count(recordsOfTrace)} records` : '';
  const lines = [`draws      ${count(draws)} draws of all costs from their ranges, the same for every row${part}`];
  for (const machine of new Set(rankings.map((ranking) => ranking.machine)))
    lines.push(
      ...orders(
        machine,
        draws,
        rankings.filter((ranking) => ranking.machine === machine),
      ),
    );
  lines.push('           us added per page, in 90 % of the draws:');
  for (const { machine, policy, p5, p50, p95 } of intervals.filter(({ key }) => key === 'added_per_page_ns'))
    lines.push(`           ${`${machine} ${policy}`.padEnd(30)} ${span({ p5, p50, p95 })}`);
  return lines;
}

function orders(machine: string, draws: number, rankings: readonly Ranking[]): string[] {
  const said = (which: readonly Ranking[]): string[] =>
    which.map(
      ({ lower, higher, holds }) => `           ${lower} below ${higher} in ${count(holds)} of ${count(draws)}`,
    );
  const differ = rankings.filter(({ ties }) => ties < draws);
  const stand = differ.filter(({ holds }) => holds >= STANDS * draws);
  const flip = differ.filter(({ holds }) => holds < STANDS * draws);
  const head = `${machine.padEnd(10)} ${stand.length} of ${differ.length} rankings of two policies stand in 95 % of the draws`;
  return [flip.length === 0 ? head : `${head}; these do not:`, ...said(flip)];
}

function span({ p5, p50, p95 }: Pick<Interval, 'p5' | 'p50' | 'p95'>): string {
  return `${micro(p5)} .. ${micro(p95)}, median ${micro(p50)}`;
}

function micro(ns: number): string {
  return (ns / 1000).toFixed(2);
}

/** The `uncertainty` object of the result JSON. */
export function uncertaintyResult({
  draws,
  records,
  recordsOfTrace,
  rankings,
  intervals,
}: Uncertainty): NonNullable<ComparisonResult['uncertainty']> {
  return { draws, records, records_of_trace: recordsOfTrace, rankings, intervals };
}
