/** How far the ranking of policies rests on costs that are known only as ranges. */
import { COST_KEYS, type Cost, type Costs } from './cost.ts';
import type { RunResult } from './result.ts';

/** Two policies on one machine, in the order that the default costs give them. */
export interface Ranking {
  readonly machine: string;
  /** Policy that adds less per page with the default costs. */
  readonly lower: string;
  readonly higher: string;
  /** Draws in which it adds less, too. */
  readonly holds: number;
  /** Draws in which both add the same. */
  readonly ties: number;
}

/** One headline number of one row: with the default costs, and over all draws. */
export interface Interval {
  readonly machine: string;
  readonly policy: string;
  readonly key: string;
  readonly default: number;
  readonly p5: number;
  readonly p50: number;
  readonly p95: number;
}

/** Outcome of a comparison under many draws of its costs. */
export interface Uncertainty {
  readonly draws: number;
  /** Records that each draw replayed, of those that the trace has. */
  readonly records: number;
  readonly recordsOfTrace: number;
  readonly rankings: readonly Ranking[];
  readonly intervals: readonly Interval[];
}

/** Headline numbers: key of the result JSON, and its value. */
const HEADLINES: readonly (readonly [key: string, value: (run: RunResult) => number])[] = [
  ['added_per_page_ns', (run) => run.cost.added_per_page_ns],
  ['vs_baseline', (run) => run.cost.vs_baseline],
  ['lock_hold_ns.p99', (run) => run.cost.lock_hold_ns.p99],
  ['lock_wait_ns', (run) => run.cost.lock_wait_ns],
  ['window_ns.p99', (run) => run.safety.window_ns.p99],
];

/**
 * Costs of one draw in nanoseconds, each log-uniform in its range and independent of the others. A range that begins at
 * 0 has no logarithm there: it is drawn as 1 ns more, and 1 ns is taken off. A draw is a function of `seed` and `draw`
 * alone, so that every policy and machine is judged with the same ones.
 */
export function drawCosts(costs: Costs, seed: number, draw: number): Readonly<Record<string, number>> {
  const next = uniform(Math.imul(seed, 0x9e3779b1) ^ Math.imul(draw + 1, 0x85ebca6b));
  return Object.fromEntries(COST_KEYS.map((key) => [key, drawn(costs[key], next())]));
}

function drawn({ low, high }: Cost, at: number): number {
  if (low === high) return low;
  const shift = low === 0 ? 1 : 0;
  const value = Math.exp(Math.log(low + shift) + at * (Math.log(high + shift) - Math.log(low + shift))) - shift;
  // Prices are whole picoseconds.
  return Math.min(high, Math.max(low, Math.round(value * 1000) / 1000));
}

/** Numbers in 0..1 (mulberry32, Tommy Ettinger, public domain): draws that differ in one bit share nothing. */
function uniform(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Rankings of every two policies of a machine, by what they add per page. Draws have the rows of `base`, in its order. */
export function rankingsOf(base: readonly RunResult[], draws: readonly (readonly RunResult[])[]): Ranking[] {
  const added = (run: RunResult): number => run.cost.added_per_page_ns;
  return base.flatMap((first, i) =>
    base.flatMap((second, j) => {
      if (j <= i || second.machine !== first.machine) return [];
      const [low, high] = added(second) < added(first) ? [j, i] : [i, j];
      const gaps = draws.map((rows) => added(rows[high]!) - added(rows[low]!));
      return [
        {
          machine: first.machine,
          lower: base[low]!.policy,
          higher: base[high]!.policy,
          holds: gaps.filter((gap) => gap > 0).length,
          ties: gaps.filter((gap) => gap === 0).length,
        },
      ];
    }),
  );
}

/** Where each headline number of each row lies over the draws. */
export function intervalsOf(base: readonly RunResult[], draws: readonly (readonly RunResult[])[]): Interval[] {
  return base.flatMap((row, i) =>
    HEADLINES.map(([key, value]) => {
      const sorted = draws.map((rows) => value(rows[i]!)).sort((a, b) => a - b);
      const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
      const { machine, policy } = row;
      return { machine, policy, key, default: value(row), p5: at(0.05), p50: at(0.5), p95: at(0.95) };
    }),
  );
}
