import { expect, test } from 'vitest';
import { loadCosts } from '../catalog/catalog.ts';
import { COST_KEYS, type Costs } from './cost.ts';
import type { RunResult } from './result.ts';
import { drawCosts, rankingsOf } from './uncertainty.ts';

const COSTS = loadCosts(undefined);
const DRAWS = Array.from({ length: 400 }, (_, draw) => drawCosts(COSTS, 1, draw));

test('a draw is a function of its number and the seed, and every cost is in its range', () => {
  expect(drawCosts(COSTS, 1, 7)).toEqual(DRAWS[7]);
  expect(drawCosts(COSTS, 2, 7)).not.toEqual(DRAWS[7]);
  for (const key of COST_KEYS) {
    const { low, high } = COSTS[key];
    const values = DRAWS.map((draw) => draw[key]!);
    expect({ key, inside: values.every((ns) => ns >= low && ns <= high) }).toEqual({ key, inside: true });
  }
});

test('half of the draws lie below the geometric mean of a range', () => {
  for (const key of COST_KEYS) {
    const { low, high } = COSTS[key];
    if (low === high) continue;
    const middle = low === 0 ? Math.sqrt(1 + high) - 1 : Math.sqrt(low * high);
    const below = DRAWS.filter((draw) => draw[key]! < middle).length;
    // Four standard deviations of 400 throws of a coin.
    expect({ key, fair: Math.abs(below - 200) < 40 }).toEqual({ key, fair: true });
  }
});

test('costs are drawn independently of each other', () => {
  const [first, ...others] = COST_KEYS.filter((key) => COSTS[key].low < COSTS[key].high);
  const middle = (key: keyof Costs): number[] => {
    const sorted = DRAWS.map((draw) => draw[key]!).sort((a, b) => a - b);
    return DRAWS.map((draw) => (draw[key]! < sorted[200]! ? -1 : 1));
  };
  const signs = middle(first!);
  for (const key of others) {
    const agree = middle(key).filter((sign, i) => sign === signs[i]).length;
    expect({ key, fair: Math.abs(agree - 200) < 45 }).toEqual({ key, fair: true });
  }
});

test('a ranking is counted over the draws, ties apart', () => {
  const rows = (...added: number[]): RunResult[] =>
    added.map((ns, i) => ({ machine: 'm', policy: 'abc'[i]!, cost: { added_per_page_ns: ns } }) as RunResult);
  const draws = [rows(1, 2, 2), rows(3, 2, 2), rows(5, 9, 9)];
  expect(rankingsOf(rows(2, 1, 1), draws)).toEqual([
    { machine: 'm', lower: 'b', higher: 'a', holds: 1, ties: 0 },
    { machine: 'm', lower: 'c', higher: 'a', holds: 1, ties: 0 },
    { machine: 'm', lower: 'b', higher: 'c', holds: 0, ties: 3 },
  ]);
});
