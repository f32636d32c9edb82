/** Figures of one's own machine, and the costs that they give. */
import type { Cost, CostKey, Costs } from './cost.ts';

/** Runs of each measurement. */
export const REPEATS = 15;

/** Spread from which on a figure is shown and not written. */
export const MOST_SPREAD = 0.2;

/** One thing that was measured, several times. */
export interface Measurement {
  /** What was measured, in words. */
  readonly what: string;
  /** The cost that it stands for; none where it only helps to judge the others. */
  readonly key?: CostKey;
  readonly unit: 'ns' | 'pages';
  /** One value a repeat, or one for each of a population; none if it cannot be measured here. */
  readonly values: readonly number[];
  /** The values differ because what was measured does, not because the host is restless. */
  readonly population?: true;
  /** Where the values come from, for the source of a cost. */
  readonly source: string;
  /** Why there is no value, or what the value is not. */
  readonly note?: string;
}

/** A measurement, judged. */
export interface Figure {
  readonly what: string;
  readonly key?: CostKey;
  readonly unit: 'ns' | 'pages';
  readonly median: number | null;
  /** (90th - 10th percentile) / median. */
  readonly spread: number | null;
  readonly low: number | null;
  readonly high: number | null;
  readonly source: string;
  /** Whether it may stand in a file of costs, and if not, why. */
  readonly written: boolean;
  readonly why: string;
}

/** Median and spread of a measurement, and whether its figure may be used. */
export function judge({ what, key, unit, values, source, note, population }: Measurement): Figure {
  const base = { what, ...(key && { key }), unit, source };
  if (values.length === 0)
    return { ...base, median: null, spread: null, low: null, high: null, written: false, why: note ?? 'not measured' };
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))]!;
  const [low, median, high] = [at(0.1), at(0.5), at(0.9)];
  const spread = median > 0 ? (high - low) / median : Number.POSITIVE_INFINITY;
  const why =
    key === undefined
      ? (note ?? 'no cost of its own')
      : median <= 0
        ? (note ?? 'not above 0')
        : spread > MOST_SPREAD && !population
          ? `spread above ${MOST_SPREAD * 100} %`
          : '';
  return { ...base, median, spread: Number.isFinite(spread) ? spread : null, low, high, written: why === '', why };
}

/** Costs of the figures that may be used: entries for a file of costs. `costs` gives the notes. */
export function measuredCosts(figures: readonly Figure[], costs: Costs): Partial<Record<CostKey, Cost>> {
  const entries = figures.flatMap(({ key, median, low, high, source, written }) => {
    if (key === undefined || !written) return [];
    const entry: Cost = {
      default: rounded(median!),
      low: rounded(low!),
      high: rounded(high!),
      confidence: 'measured',
      note: costs[key].note,
      source,
    };
    return [[key, entry] as const];
  });
  return Object.fromEntries(entries);
}

function rounded(ns: number): number {
  return Math.round(ns * 1000) / 1000;
}
